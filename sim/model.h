/* Cryptography as the simulator models it: fast, the same everywhere, and worth nothing against an
 * enemy. A signature is a keyed hash that only the model checks; its key is the signer's peer-id.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_MODEL_H
#define TORC_SIM_MODEL_H

#include "sim/engine.h"

#define SIM_SIGNATURE_LEN 8u
/* What is on real links in place of the model's: a P-256 signature, and a certificate as
 * torc-authority issues them. */
#define SIM_REAL_SIGNATURE_LEN 71u
#define SIM_REAL_CERT_LEN 560u
#define SIM_USER_CAP 40u

/* 256 well mixed bits of the parts joined. */
void sim_model_hash(const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]);
void sim_model_sign(const torc_id *signer, const torc_job *job, uint8_t out[SIM_SIGNATURE_LEN]);
bool sim_model_verify(const torc_id *signer, const torc_job *job);

/* "u<index>@sim.example"; returns the length. */
size_t sim_model_user(torc_sim_index i, char out[SIM_USER_CAP]);
/* The certificate of a node: "SIMC" ++ peer-id ++ user name. NULL: no memory. */
torc_cert *sim_model_cert(const torc_mem *mem, torc_sim_index i, const torc_id *id);
/* Whose certificate these bytes would be; false: nobody's. */
bool sim_model_cert_owner(torc_slice der, torc_sim_index *i, torc_id *id);

#endif
