/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A libvirt daemon and a virtlogd of our own: started, watched, started again when they end, and left running when we do. Their
 * directories are below this instance's. Everything on the instance's thread. */
#ifndef LV_SPAWN_H
#define LV_SPAWN_H
#include <hvkit/plugin.h>

extern const char *const lv_spawn_kvm_words[]; /* auto, show, hide */
#define LV_SPAWN_KVM_AUTO 0u
#define LV_SPAWN_KVM_SHOW 1u
#define LV_SPAWN_KVM_HIDE 2u

#define LV_SPAWN_CONFIG(F, T) \
  F (T, STR, _, daemon, HV_PATH, "libvirt's daemon: libvirtd, or virtqemud where the distribution splits it", \
     .def = "/usr/sbin/libvirtd", .max = 4096) \
  F (T, STR, _, logd, HV_PATH, "the keeper of its machines' logs", .def = "/usr/sbin/virtlogd", .max = 4096) \
  F (T, STR, _, launcher, HV_PATH, "program that starts both; absent: hvkit-libvirt-launch beside the plugin", .max = 4096) \
  F (T, STR, _, netns, HV_PATH, "network namespace that both, and machines that name none, live in; absent: hvkitd's", \
     .max = 4096) \
  F (T, ENUM, lv_spawn_kvm, kvm, 0, "auto hides /dev/kvm from them where no guest code runs on it", .def = "auto") \
  F (T, U32, _, ready_ms, 0, "how long the start of this instance waits for them", .unit = "ms", .def = "20000", .umin = 100, \
     .max = 600000)
HV_RECORD_STRUCT (lv_spawn_config, LV_SPAWN_CONFIG);

struct lv_spawn;

struct lv_spawn_how {
  const char *launcher;                       /* the program that starts both */
  const char *netns;                          /* where they live; NULL: where we do */
  int own_place;                              /* their directories are named after the namespace: there are others */
  int kvm;                                    /* guest code runs on it */
  void (*ended) (void *arg, const char *why); /* whenever one has ended unasked; `why` is the call's */
  void *arg;
};

/* [coro] Takes over the ones that run already, or starts them. NOT_FOUND for a program that is not there, or the system's error. */
int lv_spawn_start (struct hv_host *, const struct lv_spawn_config *, const struct lv_spawn_how *, struct lv_spawn **ret,
                    struct hv_err *);
const char *lv_spawn_uri (const struct lv_spawn *);
/* Their last words, for who cannot reach them: "" when there were none. Lives until the next one. */
const char *lv_spawn_last_words (const struct lv_spawn *);
int lv_spawn_in_place (const struct lv_spawn *); /* the path of their namespace leads to the one that they are in */
void lv_spawn_leave (struct lv_spawn *);         /* we end, they stay; NULL is fine */
/* [coro] They end, which no machine of theirs does; `forget`: and what they kept is removed. Frees it in any case. UNAVAILABLE: one
 * does not end. */
int lv_spawn_end (struct lv_spawn *, int forget, struct hv_err *);
const char *lv_spawn_state_dir (const struct lv_spawn *); /* of the daemon: its logs are below it; lives with the spawn */
#endif
