# METADATA
# title: What is wrong with a crypto suite
# description: One list of weak algorithms, used by the rules on the intent and by those on the plan.
package foremesh.lib.crypto

weak_encryption := {
	"3des": "3DES has 64-bit blocks, which leak after some gigabytes (Sweet32)",
	"null": "null does not encrypt",
}

weak_integrity := {
	"md5": "MD5 is broken",
	"sha1": "SHA-1 is broken",
}

weak_prf := {"prfsha1": "SHA-1 is broken"}

weak_group := {
	"modp768": "768-bit Diffie-Hellman can be broken at leisure",
	"modp1024": "1024-bit Diffie-Hellman can be broken by a state (Logjam)",
	"modp1536": "1536-bit Diffie-Hellman is below 112 bits of strength",
}

strong_integrity := {"sha256", "sha384", "sha512"}

aead := {"aes128gcm16", "aes256gcm16", "chacha20poly1305"}

# Fields of a suite that no profile may have, each with why.
weaknesses(suite) := (({{"field": "encryption", "why": weak_encryption[suite.encryption]} | weak_encryption[suite.encryption]} | {{"field": "integrity", "why": weak_integrity[suite.integrity]} | weak_integrity[suite.integrity]}) | {{"field": "prf", "why": weak_prf[suite.prf]} | weak_prf[suite.prf]}) | {{"field": "group", "why": weak_group[suite.group]} | weak_group[suite.group]}

# A cipher that does not authenticate, without an authentication that is worth the name.
is_unauthenticated(suite) if {
	not suite.encryption in aead
	not suite.integrity in strong_integrity
}
