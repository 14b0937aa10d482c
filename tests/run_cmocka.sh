#!/bin/sh
# run_cmocka.sh EXECUTABLE RESULTS_DIR: runs one cmocka executable, its JUnit XML in RESULTS_DIR/<name>.xml
# (removed first: cmocka does not overwrite one) and the failures on the terminal.
results=$2/$(basename "$1").xml
mkdir -p "$2"
rm -f "$results"
CMOCKA_MESSAGE_OUTPUT=XML CMOCKA_XML_FILE="$results" "$1"
rc=$?
if [ $rc -ne 0 ] && [ -f "$results" ]; then
  cat "$results"
fi
exit $rc
