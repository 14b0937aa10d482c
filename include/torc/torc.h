/* Everything of libtorc.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TORC_H
#define TORC_TORC_H

#include "torc/crypto.h"
#include "torc/node.h"
#include "torc/path.h"
#include "torc/peer.h"
#include "torc/storage.h"
#include "torc/types.h"

#endif
