#!/usr/bin/env bash
# Every relative link in the documents leads to a file, and every document that the sources name is
# there.
set -u
cd "$(dirname "$0")/.." || exit 2
fail=0
while IFS= read -r file; do
  while IFS= read -r link; do
    case $link in http://* | https://* | mailto:* | '#'*) continue ;; esac
    target=$(dirname "$file")/${link%%#*}
    [ -e "$target" ] || { echo "$file: no such file: $link"; fail=1; }
  done < <(grep -oE '\]\([^) ]+\)' "$file" | sed 's/^](//; s/)$//')
done < <(git ls-files --cached --others --exclude-standard '*.md')
while IFS=: read -r file name; do
  [ -e "$name" ] || { echo "$file: names $name, which is not there"; fail=1; }
done < <(git ls-files --cached --others --exclude-standard '*.[ch]' '*.proto' '*.yaml' |
  xargs grep -oHE '\bdocs/[a-z/-]+\.md\b')
[ $fail = 0 ] && echo "links: ok"
exit $fail
