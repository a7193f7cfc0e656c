package token

import "time"

// ServesFor is how long a ring or a key serves on while it cannot be read anew, exclusive, from when it was last read.
// After that the caller gets an error, which is a fault of ours. The danger of an old value differs, and a day suits
// each:
//
//   - The ring. An old one accepts license keys of a secret that was retired since, and signs new ones with it. So a
//     leak lasts as long as a process cannot read. An error refuses nobody: products go on with the tokens they have.
//   - The token key. The store names the key of each new signature, but is not asked for a token that is given again.
//     With an old public half such tokens go out although their key was replaced, perhaps because it was compromised.
//     An error holds up no refusal, which does not need the key.
//   - The published keys. An old set lacks a successor, whose tokens products then refuse, or holds a key that was
//     retired, which they go on trusting. But a product without any set can check no token at all, so an early error
//     does more harm. Products keep a set for a day themselves; DefaultLead is as long as both.
const ServesFor = 24 * time.Hour

// StaleAfter is how long after the first failure in a row a failure to read is more than a warning, inclusive. On AWS
// it then sets off an alarm.
const StaleAfter = 15 * time.Minute
