/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file of an image is its disk: the one under disk/, or the one that was asked for. Layers are looked at from the uppermost
 * down; what an upper one has, or hides, a lower one does not show. */
#ifndef CD_PICK_H
#define CD_PICK_H
#include "tar.h"

#define CD_PICK_HIDDEN_MAX 64u

struct cd_pick {
  char want[CD_TAR_PATH_MAX]; /* path in the image; "": the one under disk/ */
  char found[CD_TAR_PATH_MAX];
  uint32_t layer, found_in; /* this one, counted from the uppermost; where it was found */
  uint8_t is_found;
  /* whiteouts: of the layers above, and of this one for those below */
  char *hidden[CD_PICK_HIDDEN_MAX];
  uint32_t hidden_count, hidden_above;
  uint8_t opaque, opaque_above;
};

int cd_pick_begin (struct cd_pick *, const char *file, struct hv_err *); /* file: NULL or absolute */
void cd_pick_layer (struct cd_pick *);                                   /* the next one down begins */
/* 1: it is the disk, and its data follows; 0: it is something else; or why the image is refused. */
int cd_pick_entry (struct cd_pick *, const struct cd_tar_entry *, struct hv_err *);
int cd_pick_end (const struct cd_pick *, struct hv_err *); /* NOT_FOUND: there was none */
/* No lower layer can change what was found. */
int cd_pick_is_settled (const struct cd_pick *);
void cd_pick_clear (struct cd_pick *);
#endif
