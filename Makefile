# One target for each check; what it runs stands in .ci/run. `make ci` runs them all, as continuous integration does.

checks := fmt tidy vet lint spec test race purego 386 modules interleavings soak stress histories mutation qemu fuzz bench

.PHONY: help ci $(checks)
.DEFAULT_GOAL := help

help:
	@echo "make ci       everything that a change must pass"
	@echo "make CHECK    one of it: $(checks)"

ci:
	@.ci/run

$(checks):
	@.ci/run $@
