# Eight jobs at once, each with output of its own; "waits" ends only if "comes" runs beside it.
JOBS = 1 2 3 4 5 6
ROOT = $(DEB_GAIN_ROOT_CMD)

all: $(JOBS:%=jobs/%) jobs/waits jobs/comes

jobs/waits: | jobs
	$(ROOT) sh -c 'i=0; until [ -e jobs/comes ] || [ $$i -gt 200 ]; do sleep .05; i=$$((i+1)); done; [ -e jobs/comes ]'

jobs/comes: | jobs
	sleep .5
	$(ROOT) touch $@

jobs/%: | jobs
	$(ROOT) sh -c 'sleep .2; id -u; echo $*' > $@
	printf '0\n%s\n' $* | cmp - $@

jobs:
	mkdir jobs

.PHONY: all jobs/waits
