#!/usr/bin/env bash
# Translate cql_libraries/ to ELM with the reference translator (Java 17, Maven) and write the Library
# resources. A development step: the result is committed, and neither running nor testing needs Java.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=${WORK:-out/elm}
mkdir -p "$work/elm"
if [ ! -d "$work/jars" ]; then
  mvn --batch-mode --quiet --file scripts/elm/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/$work/jars"
fi
java -cp "$work/jars/*" scripts/elm/BuildElm.java cql_libraries "$work/elm"
.venv/bin/python scripts/build_library_resources.py "$work/elm"
