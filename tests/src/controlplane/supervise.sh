# Runs a program that must not outlive its owner, whatever the owner dies of (SIGKILL included).
#
# usage: sh -c "$this_script" sh FOLDER PROGRAM ARGUMENT...
#
# When the program has ended, however it came to that, FOLDER/after.sh is run, if there is one.
#
# The owner holds the other end of standard input. A line on it means "stop the program". Its end without a line means that
# the owner is gone: then FOLDER, where the owner keeps what the program needs, is removed as well.
folder=$1
shift
exec 3<&0 </dev/null

# Standard error of this shell itself, which talks of terminated jobs, goes nowhere.
"$@" 2>&1 3<&- &
program=$!

(
    read -r _ <&3
    owner_gone=$?
    trap '' TERM
    kill -KILL "$program"
    exit "$owner_gone"
) &
watcher=$!

wait "$program"
status=$?
if [ -f "$folder/after.sh" ]; then
    sh "$folder/after.sh" >/dev/null
fi
kill -TERM "$watcher" 2>/dev/null
wait "$watcher"
if [ $? -eq 1 ]; then
    cd /
    rm -rf -- "$folder"
fi
exit "$status"
