# The first process of a node's namespaces: makes them a place to live in, then collects whose parents have gone.
#
# usage: sh -c "$this_script" sh FOLDER
#
# What the node's programs leave outside FOLDER goes with the namespace.
set -e
mount --make-rshared /
for folder in /run /var/lib /var/log; do
    mount -t tmpfs tmpfs "$folder"
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
touch "$1/ready"
while :; do
    sleep 3600 &
    wait
done
