# Removes the control groups of a node when its namespaces have ended. The kernel takes a moment to end all that lived there.
for _ in $(seq 100); do
    find /sys/fs/cgroup -depth -type d \( -name NAME -o -path '*/NAME/*' \) -exec rmdir {} \; 2>/dev/null
    [ -z "$(find /sys/fs/cgroup -type d -name NAME)" ] && break
    sleep 0.1
done
