/*
 * Prints the tables of Linux's test_verifier as text: the programs as they would reach the kernel.
 *
 * Nothing is loaded. The functions of libbpf that the test calls are replaced by ones that write down what they are asked
 * for; descriptors are numbers made up here. conformance/src/kernel/corpus/tables.rs makes the file `verifier/tests.h`,
 * compiles this against the sources of Linux, and reads what comes out: a line for each fact, a word and its value.
 */
#define main main_of_the_test
#include "test_verifier.c"
#undef main

/* Descriptors from here on are made up. */
#define FIRST_FD 1000000

static int next_fd = FIRST_FD;
/* Where facts go; what the test itself prints goes nowhere. */
static FILE *facts;

static void hex(const char *name, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	size_t i;

	fprintf(facts, "%s ", name);
	for (i = 0; i < size; i++)
		fprintf(facts, "%02x", bytes[i]);
	fprintf(facts, "\n");
}

static void hex_number(unsigned int value, const void *data, size_t size)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", value);
	hex(name, data, size);
}

static void text(const char *name, const char *value)
{
	fprintf(facts, "%s ", name);
	for (; value && *value; value++)
		fputc(*value == '\n' ? ' ' : *value, facts);
	fprintf(facts, "\n");
}

int bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size, __u32 max_entries,
		   const struct bpf_map_create_opts *opts)
{
	fprintf(facts, "map %d %d %u %u %u %u %d %u %u %llu\n", next_fd, type, key_size, value_size, max_entries,
	       opts ? opts->map_flags : 0, opts ? (int)opts->inner_map_fd : 0, opts ? opts->btf_key_type_id : 0,
	       opts ? opts->btf_value_type_id : 0, opts ? (unsigned long long)opts->map_extra : 0);
	return next_fd++;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	return 0;
}

int bpf_btf_load(const void *data, size_t size, struct bpf_btf_load_opts *opts)
{
	hex("btf", data, size);
	return next_fd++;
}

int bpf_prog_load(enum bpf_prog_type type, const char *name, const char *license, const struct bpf_insn *insns,
		  size_t count, struct bpf_prog_load_opts *opts)
{
	__u32 i;

	/* Those that fill a program array have no options. */
	if (!opts)
		return next_fd++;
	fprintf(facts, "type %d\nattach %d\nflags %u\n", type, opts->expected_attach_type, opts->prog_flags);
	for (i = 0; i < opts->func_info_cnt; i++) {
		const struct bpf_func_info *info = opts->func_info;

		fprintf(facts, "func %u %u\n", info[i].insn_off, info[i].type_id);
	}
	hex("insns", insns, count * sizeof(*insns));
	errno = EPERM;
	return -1;
}

int libbpf_find_vmlinux_btf_id(const char *name, enum bpf_attach_type attach)
{
	text("target", name);
	return 1;
}

struct btf *btf__load_vmlinux_btf(void)
{
	return NULL;
}

int bpf_btf_get_next_id(__u32 start, __u32 *next)
{
	errno = ENOENT;
	return -1;
}

int libbpf_probe_bpf_prog_type(enum bpf_prog_type type, const void *opts)
{
	return 1;
}

int libbpf_probe_bpf_map_type(enum bpf_map_type type, const void *opts)
{
	return 1;
}

int testing_prog_flags(void)
{
	return 0;
}

int cap_enable_effective(__u64 caps, __u64 *old)
{
	return 0;
}

int cap_disable_effective(__u64 caps, __u64 *old)
{
	return 0;
}

int main(void)
{
	int passes = 0, errors = 0;
	size_t i, k;

	facts = fdopen(dup(STDOUT_FILENO), "w");
	if (!facts || !freopen("/dev/null", "w", stdout))
		return 1;
	/* The same programs each time. */
	srand(1);
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		struct bpf_test *test = &tests[i];

		/* tests.h has an entry in front of each file. */
		if (test->errstr && !strcmp(test->errstr, "\001file")) {
			text("file", test->descr);
			continue;
		}
		text("test", test->descr);
		text("verdict", test->result == REJECT ? "reject" : "accept");
		if (test->result == VERBOSE_ACCEPT)
			text("level", "2");
		if (test->errstr && test->result != ACCEPT)
			text("message", test->errstr);
		for (k = 0; k < MAX_FIXUPS && test->fixup_kfunc_btf_id[k].kfunc; k++) {
			fprintf(facts, "kfunc %d %s\n", test->fixup_kfunc_btf_id[k].insn_idx,
				test->fixup_kfunc_btf_id[k].kfunc);
		}
		do_test_single(test, false, &passes, &errors);
		/* After it, as programs that are made up have their results only then. */
		if (test->result != REJECT && test->runs >= 0) {
			for (k = 0; k < (test->runs ? test->runs : 1); k++) {
				fprintf(facts, "result %d ", test->retvals[k].retval == POINTER_VALUE);
				hex_number(test->retvals[k].retval, test->retvals[k].data, sizeof(test->retvals[k].data));
			}
		}
		fprintf(facts, "end\n");
	}
	return fclose(facts) ? 1 : 0;
}
