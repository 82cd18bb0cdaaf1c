/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the component tests share: a fake host around the plugin, calls as printf, answers as JSON. */
#ifndef QMP_TEST_HARNESS_H
#define QMP_TEST_HARNESS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "qmp.h"
#include "sdk/tck/fakehost.h"

#define UUID_A "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"
#define UUID_B "0a1b2c3d-71b8-5a49-a5a6-7f3bdb93e2c4"
/* a machine that needs no file: it stays at the firmware's prompt */
#define SMALL_VM(name, uuid) \
  "{\"vm\":\"" name "\",\"machine\":{\"name\":\"" name "\",\"uuid\":\"" uuid "\",\"memory_bytes\":67108864}}"

/* The result of a call that has to succeed; free with json_decref. */
HV_PRINTF (3, 4) json_t *ok (struct hv_fake *, const char *verb, const char *fmt, ...);
/* The message of a call that has to fail with `code`; malloc'd. */
HV_PRINTF (4, 5) char *fails (struct hv_fake *, int code, const char *verb, const char *fmt, ...);
/* Calls that are only checked for success, or for a code and a piece of the message. */
void do_ok (struct hv_fake *, const char *verb, const char *args);
void do_fail (struct hv_fake *, const char *verb, const char *args, int code, const char *text);

/* state, reason … of a VM, malloc'd; "" when absent. pid_of: 0 when absent. */
char *vm_text (struct hv_fake *, const char *vm, const char *member);
int pid_of (struct hv_fake *, const char *vm);
void assert_vm (struct hv_fake *, const char *vm, const char *state, const char *reason);
/* Runs the loop until the VM is in this state. */
void wait_state (struct hv_fake *, const char *vm, const char *state);
/* The next lifecycle event with this state has to come. */
void expect_event (struct hv_fake *, const char *state, const char *reason);

/* A directory with the scripted QEMU in it; its mode is what the file `mode` there says. free() the path. */
char *peer_make (void);
void peer_mode (const char *dir, const char *mode);
/* The machine of this name says this (one event of QEMU's, JSON) as soon as it can. */
void peer_event (const char *dir, const char *vm, const char *event);
/* The next process started kills its parent before it is anything else. */
void peer_kill_daemon (const char *dir);
void peer_remove (char *dir);
#endif
