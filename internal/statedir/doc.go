// Package statedir keeps on disk what the next process of an elector is to know: which key this one has in etcd,
// how far etcd has been seen, and whether the elector is fenced.
//
// # What it rests on
//
//  1. A directory belongs to one living process, which holds a lock (flock) on its lock file. The kernel lets the
//     lock go when the process has ended, and no earlier.
//  2. The state names the lock file by device and inode. While its writer lives that file is open, so no other can bear
//     that inode. Whoever holds the lock of the very file that a state names, in the boot in which it was written, knows
//     that the writer is dead. A copied directory has another lock file, and is refused.
//  3. That holds on file systems of this host alone. Any other kind is refused.
//  4. A dead process promises nothing any more. What it had promised ends within its longest answer.
//  5. In another boot (or another time namespace, whose boot clock is another) nothing is concluded about processes and
//     their keys. What was seen of etcd, and a fence, count all the same.
//
// Every write is atomic and synced: the old state or the new one is there, and never a part.
package statedir
