#!/usr/bin/env bash
# Build the images: deploy/images/build.sh [--target cpu|gpu] [--torch-from FOLDER] [--push] [--sbom] [SERVICE ...]
# Tags are the version and the commit: the same tree gives the same tags. REGISTRY goes in front of the names; BASE_IMAGE,
# GPU_BASE_IMAGE and ENGINE_PACKAGES are passed on. DOCKER names the client.
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
    *) [ -f "services/$1/Dockerfile" ] || { echo "there is no service $1" >&2; exit 2; }; services+=("$1") ;;
  esac
  shift
done
case "$target" in cpu|gpu) ;; *) echo "--target is cpu or gpu, not $target" >&2; exit 2 ;; esac
[ ${#services[@]} -gt 0 ] || services=(sandbox retriever teacher trainer evaluator)
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
  for argument in BASE_IMAGE GPU_BASE_IMAGE ENGINE_PACKAGES; do
    [ -z "${!argument:-}" ] || arguments+=(--build-arg "$argument=${!argument}")
  done
  DOCKER_BUILDKIT=1 "$docker" build --quiet -f "services/$service/Dockerfile" --target "$target" "${arguments[@]}" \
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
