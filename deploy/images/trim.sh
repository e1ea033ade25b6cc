#!/bin/sh
# Leave out of an environment what nothing runs: test suites, C++ headers, torch's test programs, and bytecode (the final
# image compiles what its service imports, and no more).
set -eu
site="$("$1"/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
cd "$site"
for package in numpy scipy sympy sklearn pandas networkx mpmath pyarrow; do
  [ ! -d "$package" ] || find "$package" -type d -name tests -prune -exec rm -rf {} +
done
if [ -d torch ]; then
  rm -rf torch/test torch/include torch/share
  # The wheel's library carries its symbol table, a fifth of its size.
  if command -v strip >/dev/null && [ -e torch/lib/libtorch_cpu.so ]; then strip --strip-unneeded torch/lib/libtorch_cpu.so; fi
  find torch -name "*.pyi" -delete
  [ ! -d torch/bin ] || find torch/bin -type f ! -name torch_shm_manager -delete
fi
# Without hf_xet the hub's client downloads over plain HTTP.
rm -rf pyarrow/include setuptools/tests onnxruntime/transformers onnxruntime/tools hf_xet hf_xet-*.dist-info
find "$1" -name __pycache__ -type d -prune -exec rm -rf {} +
