/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process between `hvkit run` and its daemon: whatever ends first, and however it ends, nothing of the VM stays. Every process
 * that the daemon starts is, or becomes, a child of the keeper (PR_SET_CHILD_SUBREAPER), so it finds them without looking for
 * names. */
#ifndef HV_CLI_KEEPER_H
#define HV_CLI_KEEPER_H
#include <sys/types.h>

struct hv_keeper {
  pid_t pid;  /* 0: it has ended */
  int pipe;   /* our end: closed, it ends everything */
  int status; /* of the daemon, as waitpid gives it; once the keeper has ended */
};

/* Starts the keeper, which starts argv[0] with its output in `log`. 0 or -errno. */
int hv_keeper_start (struct hv_keeper *, char *const *argv, const char *log);
/* What the keeper runs (an argv list, joined by newlines) before it ends a VM that nobody waits for any more. Replaces
 * earlier ones. */
void hv_keeper_last_words (struct hv_keeper *, const char *lines);
int hv_keeper_ended (struct hv_keeper *); /* 1: the daemon is gone, and everything of it */
void hv_keeper_end (struct hv_keeper *);  /* in order: the daemon is asked to end, then what is left */
#endif
