//! Examinations of MP4 files with many fragments.

use super::boxes::{cut, mp4, narrow};
use super::*;

/// The fragment of a fixture, moved to `seconds`, with the header of `size` bytes of media.
fn fragment(moof: &[u8], seconds: u64, size: u64) -> Vec<u8> {
    let mut moof = moof.to_vec();
    let mut at = 0;
    while let Some(place) = moof[at..].windows(4).position(|part| part == b"tfdt") {
        at += place + 4;
        // Of a clock of 10240 a second for video and 16000 for audio; both tracks begin together.
        let rate = if moof[..at].windows(4).filter(|part| part == b"traf").count() == 1 {
            10_240
        } else {
            16_000
        };
        assert_eq!(moof[at], 1, "times of 64 bits");
        moof[at + 4..at + 12].copy_from_slice(&(seconds * rate).to_be_bytes());
    }
    [moof, narrow(*b"mdat", size)].concat()
}

/// A file of `count` fragments of a second and `size` bytes each, followed by the bytes of
/// `behind`.
fn fragmented(count: u64, size: u64, behind: &dyn Fn(&[u64], u64) -> Vec<u8>) -> Source {
    let bytes = file("fragments.mp4");
    let moof = cut(&bytes, b"moof");
    let fragments: Vec<_> = (0..count)
        .map(|number| fragment(&moof, number, size))
        .collect();
    let (start, movie) = (cut(&bytes, b"ftyp"), cut(&bytes, b"moov"));
    let mut parts = vec![(&start[..], 0), (&movie[..], 0)];
    parts.extend(fragments.iter().map(|fragment| (&fragment[..], size)));
    let source = Source::joined(&parts);
    let starts = source.pieces.iter().skip(3).map(|(at, _)| *at);
    let behind = behind(&starts.collect::<Vec<_>>(), source.length);
    let mut source = source;
    source.pieces.push((source.length, behind.clone()));
    source.length += behind.len() as u64;
    source
}

/// An index that names the last fragment.
fn mfra(starts: &[u64], _: u64) -> Vec<u8> {
    let last = u32::try_from(*starts.last().unwrap()).unwrap();
    let entries: Vec<u8> = [0, 1, 0, 1, 0, 0x3f, 0, 2]
        .into_iter()
        .flat_map(u16::to_be_bytes)
        .chain([0; 20])
        .chain([0; 4])
        .chain(last.to_be_bytes())
        .chain([0; 12])
        .collect();
    let tfra = mp4(*b"tfra", &entries);
    let size = u32::try_from(8 + tfra.len() + 16).unwrap();
    let mfro = mp4(*b"mfro", &[&[0; 4], &size.to_be_bytes()[..]].concat());
    mp4(*b"mfra", &[tfra, mfro].concat())
}

#[test]
fn thousands_of_fragments_are_judged_by_their_ends() {
    let nothing = |_: &[u64], _: u64| Vec::new();
    for size in [5_000, 100_000, 300_000] {
        let whole = fragmented(3600, size, &mfra);
        let (check, reads) = whole.examine(Format::Mp4);
        assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
        assert!(check.reason.contains("`mfra`"), "{check:?}");
        assert!(
            check.duration_ms.unwrap().abs_diff(3_600_000) < 1_200,
            "{check:?}"
        );
        assert!(reads <= 4, "{reads} reads of fragments of {size}");

        let bare = fragmented(3600, size, &nothing);
        let (check, reads) = bare.examine(Format::Mp4);
        assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
        assert!(check.reason.contains("were not examined"), "{check:?}");
        assert!(
            check.duration_ms.unwrap().abs_diff(3_600_000) < 1_200,
            "{check:?}"
        );
        assert!(reads <= 6, "{reads} reads of fragments of {size}");

        for less in [1, size - 1, size + 3, size + 100] {
            let cut = Source {
                length: bare.length - less,
                ..bare.clone()
            };
            let (check, reads) = cut.examine(Format::Mp4);
            assert_eq!(check.verdict, Verdict::Truncated, "{less} less: {check:?}");
            assert!(reads <= 6, "{reads} reads of fragments of {size}");
        }
    }
}

#[test]
fn few_fragments_are_walked_over() {
    let nothing = |_: &[u64], _: u64| Vec::new();
    let (check, reads) = fragmented(5, 10_000_000, &nothing).examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
    assert!(reads <= 5, "{reads}");
    let (check, _) = fragmented(60, 10_000, &nothing).examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
}

#[test]
fn fragments_too_large_to_be_found_from_the_end_are_unknown() {
    let nothing = |_: &[u64], _: u64| Vec::new();
    let (check, reads) = fragmented(50, 10_000_000, &nothing).examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    assert_eq!(check.doubt(), None);
    assert_eq!(reads, 8);
}

#[test]
fn an_index_that_names_no_fragment_is_unreadable() {
    for place in [0, 7, 100_000] {
        let wrong = |_: &[u64], _: u64| mfra(&[place], 0);
        let check = check(&fragmented(3600, 100_000, &wrong), Format::Mp4);
        assert_eq!(check.verdict, Verdict::Unreadable, "{check:?}");
    }
}

/// An index of `count` fragments of a second and `size` bytes each.
fn sidx(count: u16, size: u32) -> Vec<u8> {
    let mut content = [[0, 0, 0, 0], [0, 0, 0, 1], 1000_u32.to_be_bytes()].concat();
    content.extend([0; 8]);
    content.extend([0; 2]);
    content.extend(count.to_be_bytes());
    for _ in 0..count {
        content.extend(size.to_be_bytes());
        content.extend(1000_u32.to_be_bytes());
        content.extend(0x9000_0000_u32.to_be_bytes());
    }
    mp4(*b"sidx", &content)
}

#[test]
fn an_index_before_the_fragments_names_all() {
    let bytes = file("fragments.mp4");
    let (ftyp, moov) = (cut(&bytes, b"ftyp"), cut(&bytes, b"moov"));
    let index = sidx(14_400, 100_000);
    let source = Source::joined(&[(&ftyp, 0), (&moov, 0), (&index, 14_400 * 100_000)]);
    let (check, reads) = source.examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
    assert_eq!((check.duration_ms, reads), (Some(14_400_000), 2));
    let cut = Source {
        length: source.length - 1,
        ..source
    };
    let (check, _) = cut.examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Truncated, "{check:?}");
    assert!(check.reason.contains("`sidx`"), "{check:?}");
}
