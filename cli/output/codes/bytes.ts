// Codes BP1xxx, about bytes: tarballs, lockfiles and installed files that are not what was signed.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code =
  | 'BP1001'
  | 'BP1002'
  | 'BP1003'
  | 'BP1004'
  | 'BP1005'
  | 'BP1006'
  | 'BP1007'
  | 'BP1008'
  | 'BP1009';

/** What is explained about each of them. */
export const BYTES_CODES: Readonly<Record<Code, CodeEntry>> = {
  BP1001: {
    title: 'digest mismatch',
    exit: EXIT.tampered,
    happened: "The tarball's SHA-512 is not the one in the logged release.",
    matters: 'These are not the bytes that the maintainers signed. Nothing of them was unpacked.',
    innocent: 'A damaged download, a broken cache or a proxy that rewrites content.',
    attack: 'A replica, registry, mirror or proxy serves other bytes than it vouches for.',
    action:
      'Do not install it. Try another network; report the server that is named in the message.',
    suppress: NEVER,
  },
  BP1002: {
    title: 'size mismatch',
    exit: EXIT.tampered,
    happened: 'The tarball has another size than the logged release states.',
    matters: 'These are not the bytes that the maintainers signed.',
    innocent: 'A download that was cut off.',
    attack: 'Bytes appended or removed on the way.',
    action: 'Fetch it again; if it stays, treat it as BP1001.',
    suppress: NEVER,
  },
  BP1003: {
    title: 'lockfile differs from the log',
    exit: EXIT.tampered,
    happened: "The lockfile's integrity value is not the digest in the logged release.",
    matters:
      'The lockfile pins bytes that the maintainers never signed under this name and version.',
    innocent:
      'The lockfile was made against another registry that has a different package of this name.',
    attack: 'Someone changed the lockfile, or the registry served other bytes when it was made.',
    action: 'Look at who changed the lockfile entry; make it again with `bftpkg install`.',
    suppress: NEVER,
  },
  BP1004: {
    title: 'registry serves other bytes',
    exit: EXIT.tampered,
    happened: 'What the npm registry serves for this version is not the artifact in the log.',
    matters:
      'Users who verify will refuse it, and users who do not verify get something that the maintainers never signed.',
    innocent:
      'Somebody published by hand before the release was logged, or the registry packs anew.',
    attack: 'A stolen publishing token, or a registry that serves other bytes.',
    action:
      'Do not announce the release. Ask the registry to remove it, revoke publishing tokens, and publish the logged bytes under a new version.',
    suppress: NEVER,
  },
  BP1005: {
    title: 'unsafe archive',
    exit: EXIT.tampered,
    happened:
      'The tarball breaks a rule for safe archives (links, path tricks, duplicates, bombs).',
    matters: 'Different programs unpack such archives differently, or outside their folder.',
    innocent: 'An unusual packing tool.',
    attack: 'An archive made to be seen as harmless by one reader and harmful by another.',
    action: 'Do not unpack it. Maintainers: pack with `npm pack`.',
    suppress: NEVER,
  },
  BP1006: {
    title: 'manifest confusion',
    exit: EXIT.tampered,
    happened: "The tarball's package.json says something else than the signed manifest.",
    matters: 'What a resolver acts on and what gets installed would differ.',
    innocent: 'A packing tool that rewrites package.json after the statement was made.',
    attack: 'Dependencies or scripts hidden from those who only read the metadata.',
    action: 'Do not install it. Maintainers: prepare the release again from the final tarball.',
    suppress: NEVER,
  },
  BP1007: {
    title: 'lockfile names no bytes',
    exit: EXIT.inconclusive,
    happened:
      'The release is in the log, but the lockfile’s checksum is not one of the tarball (Yarn berry hashes a zip of its own making).',
    matters: 'Nothing ties what the package manager will install to what the maintainers signed.',
    innocent: 'Every lockfile of Yarn berry is like this.',
    attack: 'Other bytes are served when the lockfile is made, and pinned by it from then on.',
    action: 'Install through a verifying registry, or check what lies on disk with --installed.',
    suppress: NEVER,
  },
  BP1008: {
    title: 'installed files differ',
    exit: EXIT.tampered,
    happened: 'What lies in node_modules is not what the verified tarballs and the lockfile say.',
    matters: 'Code runs from node_modules, not from tarballs.',
    innocent:
      'An install script that builds in place, a patch tool, an edit while debugging, or an older install.',
    attack: 'Something with write access changed or added files after they were installed.',
    action: 'Look at the files that are named; remove node_modules and run `bftpkg ci`.',
    suppress: NEVER,
  },
  BP1009: {
    title: 'rebuilt tarball differs',
    exit: EXIT.tampered,
    happened:
      'Your own checkout gives another tarball than the one that you are asked to sign, or the proposal says of the tarball what it is not: another version, size or manifest.',
    matters:
      'Your signature says that these bytes are what the repository gives. Nothing was signed.',
    innocent:
      'Another commit is checked out, files are changed or built differently, or the versions of npm or bftpkg differ.',
    attack:
      'A co-maintainer’s machine adds something that is not in the repository, or a co-maintainer has the true digest signed with other dependencies, which no replica can log.',
    action:
      'Look at what the message names; check out the commit of the release, build it the same way, and sign again.',
    suppress:
      '--expect-digest sha512-… signs a digest that you know from elsewhere, if the tarball is at hand and the proposal says what it is.',
  },
};
