//! The caller's own users, by names that tell nothing.
//!
//! Vendors want to tell a caller's users apart, to find the one who abuses them. What a client sends for that may be an
//! address of mail or, from agents, a composite of account and session, which another vendor has no business to know. What
//! crosses is a name made of it: always the same for one user of one tenant, never the same for two tenants.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// So many bytes of the digest are enough to tell users apart, and fit wherever vendors limit the length.
const BYTES: usize = 16;

/// The name that stands for this user of this tenant: letters, digits and `_`, as labels of Vertex's may be.
pub(super) fn opaque(tenant: &str, user: &str) -> String {
    let mut digest = Sha256::new();
    for text in ["tollgate user", tenant, user] {
        // With its length before it, no text can pass for the end of the one before.
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(text);
    }
    let mut name = String::from("user_");
    for byte in digest.finalize().iter().take(BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::opaque;

    #[test]
    fn p52_a_user_has_one_name_with_each_tenant_and_it_tells_nothing() {
        let name = opaque("tenant_1", "ann@example.com");
        assert_eq!(
            name,
            opaque("tenant_1", "ann@example.com"),
            "it has to stay as it is"
        );
        assert_eq!(name.len(), 37);
        assert!(!name.contains("ann"), "{name}");
        for (tenant, user) in [
            ("tenant_1", "bob@example.com"),
            ("tenant_2", "ann@example.com"),
            ("tenant_1a", "nn@example.com"),
        ] {
            assert_ne!(name, opaque(tenant, user));
        }
    }
}
