//! The access control lists of Linux' file systems, as extended attributes show them. Must not change a list other than by
//! taking it off.

use std::{fs::File, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::{
    fs::{fgetxattr, flistxattr, fremovexattr, listxattr},
    io::Errno,
};

use crate::{Danger, List};

/// Of ZFS, as TrueNAS has it. It is listed only where it says more than the mode.
const ZFS: &str = "system.nfs4_acl_xdr";
/// Of an NFS server. It is listed for every file.
const NFS: &str = "system.nfs4_acl";
/// Of a file or folder itself. What it grants at most is the middle digit of the mode.
const POSIX: &str = "system.posix_acl_access";
/// What a folder hands on. It never grants more than the mode with which a file is made.
const HANDED_ON: &str = "system.posix_acl_default";

/// Names are listed one behind the other, in far less.
const MOST_BYTES: usize = 65_536;

/// What an entry may grant (RFC 7530, 6.2.1.3).
const READ_DATA: u32 = 0x1;
/// To write a file; to put a file into a folder, or a folder into it, or to take one away.
const CHANGES: u32 = 0x2 | 0x4 | 0x40;
/// To change the list, or the owner: with either, everything.
const TAKES_OVER: u32 = 0x4_0000 | 0x8_0000;
const ALLOWS: u32 = 0;
/// It is for what is made in the folder, not for the folder.
const INHERIT_ONLY: u32 = 0x8;
const IS_GROUP: u32 = 0x40;

/// Which list `file` has, and whether it lets others do what is dangerous. (Of the POSIX kind the mode tells that.)
pub(crate) fn look(file: &File, danger: Danger) -> io::Result<(Option<List>, bool)> {
    let mut names = vec![0; MOST_BYTES];
    let names = match flistxattr(file, &mut names[..]) {
        Ok(length) => &names[..length],
        // No attributes: the mode is all there is.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok((None, false)),
        Err(error) => return Err(error.into()),
    };
    let has = |name: &str| names.split(|&byte| byte == 0).any(|one| one == name.as_bytes());
    let owner = file.metadata()?.uid();
    for (name, read) in [(ZFS, zfs as Reader), (NFS, nfs as Reader)] {
        if has(name) {
            let mut value = vec![0; MOST_BYTES];
            let length = fgetxattr(file, name, &mut value[..])?;
            let entries = read(&value[..length], owner);
            // What cannot be read may say anything.
            let lets_in =
                entries.is_none_or(|entries| entries.iter().any(|entry| entry.is_dangerous(danger)));
            return Ok((Some(List::Nfs4).filter(|_| name == ZFS || lets_in), lets_in));
        }
    }
    Ok((has(POSIX).then_some(List::Posix), false))
}

/// The list of a folder that may not be readable.
pub(crate) fn list_of(folder: &Path) -> Option<List> {
    let mut names = vec![0; MOST_BYTES];
    let length = listxattr(folder, &mut names[..]).ok()?;
    let has = |name: &str| names[..length].split(|&byte| byte == 0).any(|one| one == name.as_bytes());
    if has(ZFS) {
        return Some(List::Nfs4);
    }
    (has(POSIX) || has(HANDED_ON)).then_some(List::Posix)
}

/// Takes off what `file` got from its folder, as far as that is allowed.
pub(crate) fn take_off(file: &File) {
    for name in [ZFS, NFS, POSIX, HANDED_ON] {
        // Mostly there is none, or no such kind. What is left, a look tells.
        let _ = fremovexattr(file, name);
    }
}

/// One entry, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    allows: bool,
    is_owners: bool,
    inherit_only: bool,
    mask: u32,
}

impl Entry {
    /// Denials before it are not reckoned with: who takes the pains to deny somebody in particular has to strip, too.
    fn is_dangerous(&self, danger: Danger) -> bool {
        let dangerous = match danger {
            Danger::Use => READ_DATA | CHANGES | TAKES_OVER,
            Danger::Replace => CHANGES | TAKES_OVER,
        };
        self.allows && !self.is_owners && !self.inherit_only && self.mask & dangerous != 0
    }
}

type Reader = fn(&[u8], u32) -> Option<Vec<Entry>>;

/// Takes numbers off the front, as XDR writes them.
struct Xdr<'a>(&'a [u8]);

impl<'a> Xdr<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.get(length.next_multiple_of(4) - length..)?;
        Some(text)
    }
}

/// ZFS' form: flags, a count, and five numbers for each entry; who it is for is a number.
fn zfs(value: &[u8], owner: u32) -> Option<Vec<Entry>> {
    const IS_SPECIAL: u32 = 1;
    const OWNER: u32 = 1;
    let mut xdr = Xdr(value);
    let (_flags, count) = (xdr.number()?, xdr.number()?);
    (0..count)
        .map(|_| {
            let (kind, flags, special) = (xdr.number()?, xdr.number()?, xdr.number()?);
            let (mask, who) = (xdr.number()?, xdr.number()?);
            let is_special = special & IS_SPECIAL != 0;
            let is_owners = if is_special { who == OWNER } else { flags & IS_GROUP == 0 && who == owner };
            Some(Entry { allows: kind == ALLOWS, is_owners, inherit_only: flags & INHERIT_ONLY != 0, mask })
        })
        .collect()
}

/// NFS' form: a count, and for each entry three numbers and a name.
fn nfs(value: &[u8], _owner: u32) -> Option<Vec<Entry>> {
    let mut xdr = Xdr(value);
    let count = xdr.number()?;
    (0..count)
        .map(|_| {
            let (kind, flags, mask) = (xdr.number()?, xdr.number()?, xdr.number()?);
            let is_owners = xdr.text()? == b"OWNER@";
            Some(Entry { allows: kind == ALLOWS, is_owners, inherit_only: flags & INHERIT_ONLY != 0, mask })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: u32 = 0x1f_01ff;
    const ME: u32 = 568;

    fn value(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn is_dangerous(entries: Option<Vec<Entry>>, danger: Danger) -> bool {
        entries.unwrap().iter().any(|entry| entry.is_dangerous(danger))
    }

    /// One entry of ZFS' form: kind, flags, special, mask, who.
    fn of_zfs(entry: [u32; 5]) -> Option<Vec<Entry>> {
        let mut numbers = vec![0, 1];
        numbers.extend(entry);
        zfs(&value(&numbers), ME)
    }

    #[test]
    fn an_entry_of_zfs_is_dangerous_by_whom_it_is_for_and_what_it_grants() {
        let (allow, deny, inherit_only) = (0, 1, 0x0b);
        for (entry, uses, replaces) in [
            // owner@, group@, everyone@.
            ([allow, 0, 1, EVERYTHING, 1], false, false),
            ([allow, 0, 1, EVERYTHING, 2], true, true),
            ([allow, 0, 1, READ_DATA, 3], true, false),
            // What a file of mode 0600 grants to everyone@: its attributes, and who may do what.
            ([allow, 0, 1, 0x12_0088, 3], false, false),
            // The owner by number, another user, and a group of the same number.
            ([allow, 0, 0, EVERYTHING, ME], false, false),
            ([allow, 0, 0, READ_DATA, 1000], true, false),
            ([allow, IS_GROUP, 0, READ_DATA, ME], true, false),
            ([allow, IS_GROUP, 0, TAKES_OVER, 545], true, true),
            ([deny, 0, 1, EVERYTHING, 3], false, false),
            ([allow, inherit_only, 1, EVERYTHING, 3], false, false),
        ] {
            assert_eq!(is_dangerous(of_zfs(entry), Danger::Use), uses, "{entry:?}");
            assert_eq!(is_dangerous(of_zfs(entry), Danger::Replace), replaces, "{entry:?}");
        }
    }

    #[test]
    fn an_entry_of_nfs_names_whom_it_is_for() {
        let of_nfs = |who: &str, mask: u32| {
            let mut bytes = value(&[1, 0, 0, mask, who.len() as u32]);
            bytes.extend(who.bytes().chain([0, 0, 0]).take(who.len().next_multiple_of(4)));
            nfs(&bytes, ME)
        };
        assert!(!is_dangerous(of_nfs("OWNER@", EVERYTHING), Danger::Use));
        assert!(is_dangerous(of_nfs("GROUP@", READ_DATA), Danger::Use));
        assert!(is_dangerous(of_nfs("somebody@home", READ_DATA), Danger::Use));
        assert!(!is_dangerous(of_nfs("EVERYONE@", 0x12_0080), Danger::Use));
    }

    #[test]
    fn what_is_cut_short_is_not_taken_for_a_list_without_entries() {
        let whole = value(&[0, 1, 0, 0, 1, EVERYTHING, 3]);
        assert!(zfs(&whole, ME).is_some());
        for length in 0..whole.len() {
            assert_eq!(zfs(&whole[..length], ME), None, "{length}");
        }
        assert_eq!(nfs(&value(&[1, 0, 0, READ_DATA, u32::MAX]), ME), None);
        assert_eq!(nfs(&value(&[u32::MAX]), ME), None);
        assert_eq!(zfs(&value(&[0, u32::MAX]), ME), None);
    }
}
