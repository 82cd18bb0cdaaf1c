/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WWW-Authenticate (RFC 9110 §11): what a server wants to know of who asks. Pure functions over text. */
#ifndef CD_CHALLENGE_H
#define CD_CHALLENGE_H
#include <stdint.h>

#define CD_AUTH_OTHER  0u
#define CD_AUTH_BASIC  1u
#define CD_AUTH_BEARER 2u
#define CD_CHALLENGES  4u

struct cd_challenge {
  uint32_t scheme;
  char realm[1024], service[256], scope[1024]; /* "" where there was none */
};

/* How many there are in one header's value (the first CD_CHALLENGES of them); -1: it is malformed, or a value is too long. */
int cd_challenge_parse (const char *value, struct cd_challenge ret[CD_CHALLENGES]);
#endif
