#!/usr/bin/env bash
# Builds what is deployed: the same bytes from the same commit, on any machine.
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Builds what is deployed, without an account or a cloud: for each architecture a zip for Lambda, the
template that deploys it, and a bill of materials (CycloneDX); and the SHA-256 of each.

Usage: deploy/build.sh [--arch ARCH]... [--out DIR]

  --arch ARCH   arm64 or x86_64, as Lambda names them; both by default
  --out DIR     the folder to write to; target/deploy by default

The same commit gives the same bytes on any machine: rust-toolchain.toml, deploy/requirements.txt
and Cargo.lock pin compiler, linker and crates, and the binary contains no path of the machine. It
contains the commit, with -dirty if a source was changed. Outside a checkout, ARCHIVER_COMMIT names
the commit.

Needs rustup, a C compiler, and python3 with venv. Installs cargo-lambda, zig and cargo-cyclonedx
below target/, and the standard library of each target by rustup. The first build takes 10 to 20
minutes on two cores, and 3 GB of disk.
END_OF_USAGE
}

fail() {
    echo "build: $1" >&2
    exit "${2:-1}"
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not installed: $2"
}

readonly NAME=acs-recording-archiver CYCLONEDX=0.5.9

archs=() out=""
while (($#)); do
    case $1 in
    -h | --help) usage && exit ;;
    --arch | --out) (($# > 1)) || fail "$1 needs a value" 2 ;;
    *) fail "unknown option $1; see --help" 2 ;;
    esac
    case $1 in
    --arch)
        [[ $2 == arm64 || $2 == x86_64 ]] || fail "--arch is arm64 or x86_64" 2
        archs+=("$2")
        ;;
    --out) out=$2 ;;
    esac
    shift 2
done
((${#archs[@]})) || archs=(arm64 x86_64)
need cargo "Rust comes by rustup"
need rustup "cargo alone has no standard library for Lambda's targets"
need python3 "it runs the tools that build"

root=$(cd "$(dirname "$0")/.." && pwd -P)
out=${out:-$root/target/deploy}
mkdir -p "$out"
out=$(cd "$out" && pwd -P)
cd "$root"
readonly tools=$root/target/tools
# Paths of cargo's cache are in the binary unless they are remapped.
cargo_home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)
sysroot=$(rustc --print sysroot)

install_tools() {
    if [[ ! -x $tools/venv/bin/cargo-lambda ]]; then
        echo "Installing cargo-lambda and zig ..."
        python3 -m venv "$tools/venv" || fail "python3 has no venv; on Debian, install python3-venv"
    fi
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
        --requirement deploy/requirements.txt
    if [[ $("$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null) != *" $CYCLONEDX" ]]; then
        echo "Installing cargo-cyclonedx ..."
        cargo install --quiet --locked --root "$tools" --version "$CYCLONEDX" cargo-cyclonedx
    fi
    export PATH=$tools/venv/bin:$tools/bin:$PATH
}

# Prints the target triple of an architecture.
triple() {
    case $1 in
    arm64) echo aarch64-unknown-linux-gnu ;;
    x86_64) echo x86_64-unknown-linux-gnu ;;
    esac
}

# Prints the oldest processor on which Lambda runs an architecture, as cargo-lambda names it.
processor() {
    case $1 in
    arm64) echo neoverse-n1 ;;
    x86_64) echo haswell ;;
    esac
}

# Prints the flags for CARGO_ENCODED_RUSTFLAGS, whose separator lets a path have spaces.
flags() {
    local flags=(-C "target-cpu=$(processor "$1")" "--remap-path-prefix=$sysroot=/rust"
        "--remap-path-prefix=$cargo_home=/cargo" "--remap-path-prefix=$root=/$NAME")
    local IFS=$'\x1f'
    printf '%s' "${flags[*]}"
}

# Builds for one architecture, and prints the version that the build script gives.
compile() {
    local target
    target=$(triple "$1")
    # The standard library of a target is a download.
    [[ -d $sysroot/lib/rustlib/$target ]] || rustup --quiet target add "$target" >&2
    CARGO_TARGET_DIR=$root/target/lambda-build CARGO_ENCODED_RUSTFLAGS=$(flags "$1") \
        cargo lambda build --release --locked --package "$NAME" --bin "$NAME" \
        --target "$target" --lambda-dir "$tools/lambda/$1" \
        --message-format json-render-diagnostics | python3 -c '
import json, sys
for line in sys.stdin:
    if not line.startswith("{"):
        continue
    message = json.loads(line)
    if message.get("reason") == "build-script-executed":
        for name, value in message["env"]:
            if name == "ARCHIVER_VERSION":
                print(value)
'
}

# Writes a zip whose bytes depend on the binary alone: a fixed time and mode, and no compression,
# which differs between versions of zlib.
archive() {
    python3 - "$1" "$2" <<'END_OF_PROGRAM'
import sys, zipfile
binary, name = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
entry.create_system = 3
entry.external_attr = 0o100755 << 16
with open(binary, "rb") as file, zipfile.ZipFile(name, "w", zipfile.ZIP_STORED) as archive:
    archive.writestr(entry, file.read())
END_OF_PROGRAM
}

# Prints the template with the built zip in place of the sources.
deployable() {
    python3 - "$1" "$2" <<'END_OF_PROGRAM'
import re, sys
arch, version = sys.argv[1:]
crate = re.escape(version.split("+")[0])
text = open("template.yaml").read()
for old, new, times in [
    (r"    CodeUri: \.\n", f"    CodeUri: acs-recording-archiver-{arch}.zip\n", 1),
    (r"    Architectures: \[arm64\]\n", f"    Architectures: [{arch}]\n", 1),
    (r"    Metadata:\n      BuildMethod: rust-cargolambda\n(?:      .*\n)*", "", 2),
    (rf"    Value: {crate}\n", f"    Value: {version}\n", 1),
]:
    text, found = re.subn(old, new, text)
    if found != times:
        sys.exit(f"build: template.yaml has {found} instead of {times} of {old}")
sys.stdout.write(text)
END_OF_PROGRAM
}

# Prints the crates in the binary, by the lock file.
materials() {
    local file encoded
    cargo cyclonedx --quiet --format json --target "$(triple "$1")" \
        --override-filename "$NAME-materials"
    # cargo-cyclonedx writes a file beside each manifest of the workspace, with local paths.
    file=$(<"$NAME-materials.json")
    find . -path ./target -prune -o -name "$NAME-materials.json" -exec rm {} +
    file=${file//"$root"/}
    # In a URL the path is encoded.
    encoded=$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$root")
    printf '%s\n' "${file//"$encoded"/}"
}

install_tools
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 315532800)
export SOURCE_DATE_EPOCH
version=""
for arch in "${archs[@]}"; do
    echo "Building for $arch ..."
    version=$(compile "$arch")
    [[ $version ]] || fail "the build names no version"
    archive "$tools/lambda/$arch/$NAME/bootstrap" "$out/$NAME-$arch.zip"
    deployable "$arch" "$version" >"$out/template-$arch.yaml"
    materials "$arch" >"$out/$NAME-$arch.cdx.json"
done
[[ $version == *+* ]] || echo "The version has no commit: this is not a checkout, and ARCHIVER_COMMIT is not set."
[[ $version != *-dirty ]] || echo "The sources differ from the commit: what is built cannot be built again from it."

cd "$out"
printf '%s\n' "$version" >version
sha256sum -- *.zip *.yaml *.cdx.json >SHA256SUMS
echo "Version $version, in $out:"
cat SHA256SUMS
