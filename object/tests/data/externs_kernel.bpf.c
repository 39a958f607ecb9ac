// The kernel of `externs.bpf.c`.
struct task { int pid; };

int jiffies = 1;
int task_pid(struct task *task) { return task->pid; }
