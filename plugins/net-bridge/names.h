/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names KubeVirt gives to what it makes of a network interface. Pure functions, any thread. */
#ifndef NB_NAMES_H
#define NB_NAMES_H
#include <hvkit/err.h>
#include <net/if.h>

struct nb_names {
  char bridge[IFNAMSIZ]; /* k6t-eth0 */
  char port[IFNAMSIZ];   /* eth0-nic: the interface itself, once it is a port of the bridge */
  char tap[IFNAMSIZ];    /* tap0 */
};

/* eth0: k6t-eth0, eth0-nic, tap0; net1: k6t-net1, net1-nic, tap1; pod1a2b: k6t-1a2b, 1a2b-nic, tap1a2b; any other: its name, and
 * tap with its place among the VM's cards. INVALID_ARGUMENT: no name of an interface, or too long for what is added to it. */
int nb_names_make (const char *interface_name, uint32_t ordinal, struct nb_names *ret, struct hv_err *);

/* What stays the same from one start of a VM to the next, and differs from what another daemon's VM of that name has: `prefix` and
 * ten digits, for a link; a locally administered MAC; a number. `seed` is the daemon's. */
uint64_t nb_names_hash (const char *seed, const char *vm, const char *nic);
void nb_names_link (char ret[IFNAMSIZ], const char *prefix, uint64_t hash); /* prefix: up to 5 characters */
void nb_names_mac (uint8_t ret[6], uint64_t hash);
#endif
