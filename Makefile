# One target for each check. .ci/run runs them; .ci/checks says which commands they are.

checks := fmt tidy vet lint test race purego 386 modules interleavings spec soak
on_request := stress histories mutation qemu fuzz bench

.PHONY: help ci release $(checks) $(on_request)
.DEFAULT_GOAL := help

help:
	@echo "make ci                       every check that a change must pass"
	@echo "make CHECK                    one of them: $(checks)"
	@echo "make CHECK                    on request only: $(on_request)"
	@echo "make release                  checks that others could use the modules, if they were released as they are"
	@echo "make release VERSION=v0.1.0   tags all modules, after checks; with DRY=1 it only checks"

ci:
	@.ci/run

$(checks) $(on_request):
	@.ci/run $@

release:
	@.ci/run release
ifdef VERSION
	@.ci/release $(if $(DRY),check,tag) $(VERSION)
endif
