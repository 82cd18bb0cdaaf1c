/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope-bound ownership: HV_CLEAN frees on every return, HV_STEAL hands over.
 *
 *   HV_CLEAN (hv_buf) struct hv_buf *b = NULL;     runs hv_buf_cleanup (&b) when b leaves scope
 *   *ret_b = HV_STEAL (b);                         b is NULL afterwards
 */
#ifndef HVKIT_CLEAN_H
#define HVKIT_CLEAN_H
#include <stdlib.h>
#include <unistd.h>

#define HV_CLEAN(type) __attribute__ ((cleanup (type##_cleanup)))

/* Defines type##_cleanup for a pointer type whose destructor accepts NULL. */
#define HV_CLEAN_DEFINE(type, ctype, destroy) \
  __attribute__ ((unused)) static inline void type##_cleanup (ctype **p) \
  { \
    if (*p != NULL) \
      destroy (*p); \
  }

#ifndef __cplusplus
#define HV_STEAL(p) \
  (__extension__ ({ \
    __typeof__ (p) hv_stolen_ = (p); \
    (p) = NULL; \
    hv_stolen_; \
  }))
#define HV_STEAL_FD(fd) \
  (__extension__ ({ \
    int hv_stolen_ = (fd); \
    (fd) = -1; \
    hv_stolen_; \
  }))
#endif

__attribute__ ((unused)) static inline void
hv_free_cleanup (void *p)
{
  void **pp = (void **) p;
  free (*pp);
  *pp = NULL;
}

/* For `HV_CLEAN (hv_fd) int fd = -1;`. close() keeps errno. */
__attribute__ ((unused)) static inline void
hv_fd_cleanup (int *fd)
{
  if (*fd >= 0)
    (void) close (*fd);
  *fd = -1; /* also called by hand: never twice */
}
#endif
