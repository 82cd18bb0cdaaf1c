/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes as text from registries and users: references, challenges, manifests, tokens, credentials. */
#include "plugins/container-disk/challenge.h"
#include "plugins/container-disk/manifest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A reference that was taken is made of what it was taken for. */
static void
check_reference (const char *text)
{
  struct cd_ref r, again;
  char whole[800];
  if (cd_ref_parse (text, "d.example", &r, NULL) != 0 || r.kind != CD_REF_REGISTRY)
    return;
  if (strstr (r.name, "..") != NULL && strstr (r.name, "/../") != NULL)
    abort ();
  (void) snprintf (whole, sizeof whole, "%s/%s%s%s%s%s", r.host, r.name, r.tag[0] != '\0' ? ":" : "", r.tag,
                   r.digest[0] != '\0' ? "@" : "", r.digest);
  int has_registry = strpbrk (r.host, ".:") != NULL || strcmp (r.host, "localhost") == 0;
  if (has_registry
      && (cd_ref_parse (whole, NULL, &again, NULL) != 0 || strcmp (again.name, r.name) != 0
          || strcmp (again.digest, r.digest) != 0))
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static struct cd_manifest m;
  struct cd_challenge c[CD_CHALLENGES];
  struct cd_credentials k;
  char *text = malloc (size + 1);
  if (text == NULL)
    return 0;
  memcpy (text, data, size);
  text[size] = '\0';
  check_reference (text);
  if (cd_challenge_parse (text, c) > (int) CD_CHALLENGES)
    abort ();
  if (cd_manifest_read ((const char *) data, size, "linux/amd64", &m, NULL) == 0)
    for (uint32_t i = 0; i < m.count; i++)
      if (!cd_is_digest (m.items[i].digest) || m.items[i].size == 0)
        abort ();
  free (cd_token_read ((const char *) data, size));
  if (cd_credentials_find ((const char *) data, size, "r.example", &k, NULL) == 0)
    cd_credentials_clear (&k);
  free (text);
  return 0;
}
