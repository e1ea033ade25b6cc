#!/usr/bin/env bash
# Build the images: deploy/images/build.sh [--target cpu|gpu] [--torch-from FOLDER] [--push] [--sbom] [SERVICE ...]
# One recipe (Dockerfile, beside this) takes what is particular to a service from services/SERVICE/image.yaml. Tags are the version
# and the commit: the same tree gives the same tags. REGISTRY goes in front of the names; BASE_IMAGE, GPU_BASE_IMAGE and
# ENGINE_PACKAGES come before a service's own. DOCKER names the client.
set -euo pipefail
cd "$(dirname "$0")/../.."
docker="${DOCKER:-docker}" target=cpu push= sbom= torch= services=()
while [ $# -gt 0 ]; do
  case "$1" in
    --target) target="$2"; shift ;;
    --torch-from) torch="$2"; shift ;;
    --push) push=1 ;;
    --sbom) sbom=1 ;;
    -*) echo "unknown option $1" >&2; exit 2 ;;
    *) [ -f "services/$1/image.yaml" ] || { echo "there is no services/$1/image.yaml" >&2; exit 2; }; services+=("$1") ;;
  esac
  shift
done
case "$target" in cpu|gpu) ;; *) echo "--target is cpu or gpu, not $target" >&2; exit 2 ;; esac
[ ${#services[@]} -gt 0 ] || mapfile -t services < <(printf '%s\n' services/*/image.yaml | cut -d/ -f2)
# The arguments under `args`, as NAME=VALUE: plain scalars, one to a line (`make deploy-check` sees that nothing is lost).
facts() { sed -n 's/^        \([A-Z][A-Z0-9_]*\): *\(.*[^ ]\) *$/\1=\2/p' "services/$1/image.yaml"; }
version="$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)"
revision="$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
git diff --quiet HEAD 2>/dev/null || revision="$revision-dirty"
if [ -n "$torch" ]; then
  cp "$torch"/torch-*.whl deploy/wheels/
  trap 'rm -f deploy/wheels/torch-*.whl' EXIT
fi
suffix=; [ "$target" = cpu ] || suffix=-gpu
for service in "${services[@]}"; do
  name="${REGISTRY:+$REGISTRY/}mentor-$service$suffix"
  arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")
  while IFS= read -r fact; do arguments+=(--build-arg "$fact"); done < <(facts "$service")
  for argument in BASE_IMAGE GPU_BASE_IMAGE ENGINE_PACKAGES; do
    [ -z "${!argument:-}" ] || arguments+=(--build-arg "$argument=${!argument}")
  done
  DOCKER_BUILDKIT=1 "$docker" build --quiet -f deploy/images/Dockerfile --target "$target" "${arguments[@]}" \
    -t "$name:latest" -t "$name:$version" -t "$name:$version-$revision" .
  echo "$name:$version-$revision"
  [ -z "$push" ] || { "$docker" push "$name:$version"; "$docker" push "$name:$version-$revision"; }
  if [ -n "$sbom" ]; then
    # CycloneDX, from the packages that are in the image: its own Python lists them.
    mkdir -p build/sbom
    "$docker" run --rm --entrypoint python "$name:latest" - < deploy/images/sbom.py > "build/sbom/$name-$version.cdx.json"
    echo "build/sbom/$name-$version.cdx.json"
  fi
done
