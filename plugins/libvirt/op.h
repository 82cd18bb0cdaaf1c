/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call of libvirt about one domain, with what most calls need: two texts, numbers, flags, and a text that comes back. */
#ifndef LV_OP_H
#define LV_OP_H
#include "libvirt.h"

struct lv_op {
  struct lv_work w;
  char *a, *b, *ret;
  uint64_t x, y, z;
  uint64_t out[3];
  unsigned flags;
};

/* Texts are copied and may be NULL. NULL: out of memory. */
struct lv_op *lv_op_new (int (*run) (struct lv_work *), const char *what, uint32_t work_flags, const char *a, const char *b);
void lv_op_free (struct lv_op *);
HV_CLEAN_DEFINE (lv_op, struct lv_op, lv_op_free)
#define LV_OP(w_) ((struct lv_op *) (w_))

/* [coro] About this VM. As lv_work_run. */
int lv_op_run (struct lv_vm *, struct lv_op *, uint64_t timeout_ms, struct hv_err *);
/* [coro] One that changes the VM's state: what libvirt says meanwhile and a while after may be older. Its caller reads the state.
 */
int lv_op_change (struct lv_vm *, struct lv_op *, uint64_t timeout_ms, struct hv_err *);
/* [coro] One that takes long: reports libvirt's progress to the call, and has libvirt give the job up when the call is given up. */
int lv_work_long (struct lv_vm *, struct lv_work *, struct hv_call *, const char *phase, struct hv_err *);
int lv_op_long (struct lv_vm *, struct lv_op *, struct hv_call *, const char *phase, struct hv_err *);
/* Has libvirt give up the job of this VM, soon: for who was cancelled himself. */
void lv_abort_later (struct lv_vm *);
#endif
