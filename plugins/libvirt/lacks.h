/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this backend cannot do, and what would help: LV_LACKS (verb, reason). Included wherever a list of it is made; the same
 * words are in probe and in the answer of the verb. */
LV_LACKS (snapshot_revert,
          "libvirt reverts no external snapshots before its version 9.9; stop the VM and define it on the layers below")
