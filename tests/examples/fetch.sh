#!/bin/sh
# Fetches a file from a chatfile server and verifies it, with nc, sha256sum, and what every POSIX system has:
#
#     sh fetch.sh HOST PORT NAME [OUTPUT]
#
# It ends with 0 once the file is whole, verified, and under its name; otherwise as chatfile-client does: 2 usage,
# 3 no greeting, 4 the server is full, 5 it refused, 6 the transfer broke, 7 the digest does not match, 8 no local file.
# After TIMEOUT (60) seconds of silence OpenBSD's nc gives up; others, whose -w is for connecting only, wait on.
set -uf
export LC_ALL=C # names and lines are bytes here
trap '' PIPE    # a server that has gone is found out by what does not come

fail() {
    code=$1
    shift
    printf 'fetch.sh: %s\n' "$*" | tr -c '\n -~' '?' >&2 # what a server says may be more than text to a terminal
    exit "$code"
}

# The next line that the server says; where it is none, this ends with the code that is given.
reply() {
    IFS= read -r line <&4 || fail "$1" "the server closed the connection, or never opened it"
    if [ ${#line} -gt 8192 ]; then fail 6 "a line of more than 8192 bytes"; fi # sooner is beyond what read can do
    case $line in
    'ERROR full '*) fail 4 "the server says: $line" ;;
    'ERROR changed '* | 'ERROR timeout '* | 'ERROR shutdown '* | 'ERROR internal '*) fail 6 "the server says: $line" ;;
    'ERROR '*) fail 5 "the server says: $line" ;;
    esac
}

if [ $# -ne 3 ] && [ $# -ne 4 ]; then fail 2 "usage: fetch.sh HOST PORT NAME [OUTPUT]"; fi
name=$3 output=${4-$3}
case $name in
'' | . | .. | */* | *'
'*) fail 2 "no file of a chatfile server has the name \"$name\"" ;; # a newline would begin another request
esac
case $output in -*) output=./$output ;; esac
if [ -e "$output" ] || [ -L "$output" ]; then fail 8 "\"$output\" exists already and is left as it is"; fi

# Beside the target: what is here has no name of its own until it is whole and verified.
work=$(dirname "$output")/.fetch.$$
mkdir "$work" || fail 8 "nothing can be written beside \"$output\""
nc=
trap 'if [ -n "$nc" ]; then kill "$nc" 2>/dev/null; fi; rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
mkfifo "$work/requests" "$work/replies" || fail 8 "no pipes can be made beside \"$output\""
nc -w "${TIMEOUT:-60}" "$1" "$2" <"$work/requests" >"$work/replies" &
nc=$!
exec 3>"$work/requests" 4<"$work/replies"

# The server speaks first. Its name for us goes back to it, and the requests go right behind: replies keep their order.
reply 3
case $line in
'WELCOME '*' chatfile/1') me=${line#WELCOME } me=${me% chatfile/1} ;;
*) fail 6 "this is no chatfile/1 server: $line" ;;
esac
printf '%s\nget %s\nexit\n' "$me" "$name" >&3
exec 3>&- # now nc ends when the server closes
reply 6
if [ "$line" != "$me ACK" ]; then fail 6 "not the acknowledgement: $line"; fi

# FILE <size> <mtime> <name>, where the name is everything behind one space.
reply 6
# shellcheck disable=SC2086 # the fields before the name are separated by spaces
set -- ${line%" $name"}
if [ "$line" = "$*" ] || [ $# -ne 3 ] || [ "$1" != FILE ]; then fail 6 "not the header of that file: $line"; fi
size=$2
case $size in
*[!0-9]* | 0?* | ???????????????????*) fail 6 "not a size: $size" ;;
esac

# Exactly so many bytes. A dd takes what there is at each read, never more than it was told; the next takes the rest.
: >"$work/file" || fail 8 "\"$work/file\" can't be written"
left=$size
while [ "$left" -gt 0 ]; do
    block=$((left < 65536 ? left : 65536))
    dd bs="$block" count="$((left / block))" <&4 >>"$work/file" 2>"$work/why" || fail 8 "$(cat "$work/why")"
    before=$left left=$((size - $(wc -c <"$work/file")))
    if [ "$left" -eq "$before" ]; then fail 6 "the connection ended after $((size - left)) of $size bytes"; fi
done

# END <sha256>, or ERROR changed in its place.
reply 6
sum=$(sha256sum <"$work/file") || fail 8 "sha256sum failed"
case $line in
"END ${sum%% *}") ;;
'END -') fail 7 "the server does not hash, so the file can't be verified; it was not kept" ;;
'END '*) fail 7 "the digest does not match; the file was not kept" ;;
*) fail 6 "not the end of a file: $line" ;;
esac
ln "$work/file" "$output" || fail 8 "\"$output\" can't be made; it may have come to be meanwhile" # ln never replaces
