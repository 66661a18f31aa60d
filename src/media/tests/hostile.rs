//! Examinations of hostile bytes.

use super::*;
use proptest::prelude::*;

/// A file of each kind, to be changed.
fn files() -> Vec<Vec<u8>> {
    let names = [
        "last.mp4",
        "faststart.mp4",
        "mfra.mp4",
        "sidx.mp4",
        "sidx-each.mp4",
        "tags.mp3",
        "vbr.mp3",
        "extensible.wav",
        "rf64.wav",
    ];
    names.map(file).to_vec()
}

/// The kinds of boxes and other magic words, and numbers at the edges.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"ftyp",
        b"moov",
        b"mvhd",
        b"trak",
        b"tkhd",
        b"mdia",
        b"mdhd",
        b"hdlr",
        b"minf",
        b"stbl",
        b"stsd",
        b"mvex",
        b"mehd",
        b"trex",
        b"moof",
        b"mfhd",
        b"traf",
        b"tfhd",
        b"tfdt",
        b"trun",
        b"sidx",
        b"mfra",
        b"tfra",
        b"mfro",
        b"mdat",
        b"RIFF",
        b"RF64",
        b"WAVE",
        b"fmt ",
        b"data",
        b"ds64",
        b"ID3",
        b"TAG",
        b"APETAGEX",
        b"Xing",
        b"VBRI",
        b"\xff\xfb\x90\x64",
        b"\0\0\0\0",
        b"\0\0\0\x01",
        b"\0\0\0\x08",
        b"\0\0\0\x10",
        b"\0\0\0\x80",
        b"\0\0\x10\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(vec![Format::Mp4, Format::Mp3, Format::Wav])
}

proptest! {
    /// No input makes the examination panic, run for ever, or read out of bounds. `Source::examine`
    /// asserts the bounds.
    #[test]
    fn words_in_any_order_are_examined(
        words in proptest::collection::vec(word(), 0..200),
        start in proptest::sample::select(vec![
            &b""[..], b"\0\0\0\x10ftypisom\0\0\0\0", b"RIFF\xff\xff\xff\xffWAVE",
            b"RF64\xff\xff\xff\xffWAVE", b"ID3\x04\0\0\0\0\0\0", b"\xff\xfb\x90\x64",
        ]),
        length in prop_oneof![Just(0), 0..4_000_000_u64, any::<u64>()],
        format in format(),
    ) {
        let bytes = [start, &words.concat()].concat();
        let source = Source { length: length.max(bytes.len() as u64), ..Source::of(&bytes) };
        source.examine(format);
    }

    #[test]
    fn a_file_with_changed_bytes_is_examined(
        place in 0..9_usize,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), word()), 1..6),
        twice in any::<bool>(),
        format in format(),
    ) {
        let mut bytes = files().swap_remove(place);
        for (at, word) in changes {
            let at = at.index(bytes.len());
            let end = (at + word.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&word[..end - at]);
        }
        let far = u64::from(twice) * 2_000_000;
        Source::joined(&[(&bytes, far), (&bytes, 0)]).examine(format);
    }
}

#[test]
fn an_object_of_tiny_boxes_is_read_within_bounds() {
    let tiny = b"\0\0\0\x08free".repeat(1 << 18);
    let check = examine(&tiny);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    let bytes = file("fragments.mp4");
    let moov = 20 + bytes.windows(4).position(|part| part == b"moof").unwrap();
    let start = &bytes[..moov - 24];
    for unit in [
        &b"\0\0\0\x08moof"[..],
        b"\0\0\0\x10moof\0\0\0\x08mfhd",
        b"\0\0\0\x09moof\0",
    ] {
        let many = [start, &unit.repeat(1 << 17)].concat();
        let check = examine(&many);
        assert_ne!(check.verdict, Verdict::Complete, "{check:?}");
    }
    let riff = [
        &b"RIFF\xff\xff\xff\xffWAVE"[..],
        &b"junk\0\0\0\0".repeat(1 << 18),
    ]
    .concat();
    assert_eq!(examine(&riff).verdict, Verdict::Unknown);
}

/// The tag at the end begins within the tag at the beginning.
#[test]
fn tags_that_overlap_are_unreadable() {
    let mut bytes = b"ID3TAG\0\0\0\0\xff\xfb\x90\x64".to_vec();
    bytes.resize(131, 0);
    let (check, _) = Source::of(&bytes).examine(Format::Mp3);
    assert_eq!(check.verdict, Verdict::Unreadable, "{check:?}");
}

#[test]
fn counts_beyond_the_box_are_unreadable() {
    for (name, kind, place) in [("fragments.mp4", &b"trun"[..], 4), ("mfra.mp4", b"trun", 4)] {
        let mut bytes = file(name);
        let at = bytes.windows(4).position(|part| part == kind).unwrap() + 4 + place;
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        let check = examine(&bytes);
        assert_ne!(check.verdict, Verdict::Truncated, "{check:?}");
        assert!(check.duration_ms.is_some() || check.verdict == Verdict::Unreadable);
    }
}

#[test]
fn empty_reads_end_the_examination() {
    let mut examination = Examination::new(1000, Format::Mp4);
    for _ in 0..8 {
        let Step::Read(range) = examination.step() else {
            panic!("{:?}", examination.step());
        };
        examination.take(&range, b"");
    }
    assert!(matches!(examination.step(), Step::Done(check) if check.verdict == Verdict::Unknown));
}
