#!/bin/bash -eu
# Builds the fuzzing targets into $OUT, each with its seed corpus and dictionary, as ClusterFuzzLite and OSS-Fuzz want them.
cd "${SRC:-.}/ring3"
cargo fuzz build --fuzz-dir fuzz/targets -s none --release
# A short campaign makes seed corpora and dictionaries; a finding of it does not stop the build.
cargo run --release --package ring3-fuzz --bin campaign -- --minutes 1 --targets states,noprune,engines,decode,assemble,classic,elf,btf --out "$OUT" || true
rm -rf "$OUT/findings" "$OUT/corpus"
for target in fuzz/targets/*.rs; do
    name=$(basename "$target" .rs)
    find fuzz/targets/target -path '*/release/*' -type f -name "$name" -perm -u+x -exec cp {} "$OUT/$name" \;
done
