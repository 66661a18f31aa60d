//! Examinations of objects that are larger than the reads.

use super::*;

const GIB: u64 = 1 << 30;

/// A box with this content.
fn mp4(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + content.len()).unwrap();
    [&size.to_be_bytes(), &kind[..], content].concat()
}

/// The header of a box of `content` bytes, with a size of 64 bits.
fn wide(kind: [u8; 4], content: u64) -> Vec<u8> {
    let size = content + 16;
    [&1_u32.to_be_bytes(), &kind[..], &size.to_be_bytes()].concat()
}

/// The header of a box of `content` bytes, with a size of 32 bits.
fn narrow(kind: [u8; 4], content: u64) -> Vec<u8> {
    let size = u32::try_from(content + 8).unwrap();
    [&size.to_be_bytes(), &kind[..]].concat()
}

/// The first box of that kind in a file.
fn cut(bytes: &[u8], kind: &[u8]) -> Vec<u8> {
    let at = bytes.windows(4).position(|part| part == kind).unwrap() - 4;
    bytes[at..at + read(bytes, at) as usize].to_vec()
}

/// A `moov` box of an hour, with one track for each size of a sample table.
fn movie(tables: &[usize]) -> Vec<u8> {
    let mut header = vec![0; 100];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    header[16..20].copy_from_slice(&3_600_000_u32.to_be_bytes());
    let next = u32::try_from(tables.len() + 1).unwrap();
    header[96..].copy_from_slice(&next.to_be_bytes());
    let mut boxes = mp4(*b"mvhd", &header);
    for (table, id) in tables.iter().zip(1_u32..) {
        let mut track = vec![0; 84];
        track[12..16].copy_from_slice(&id.to_be_bytes());
        let handler = [
            &[0; 8][..],
            if id == 1 { b"vide" } else { b"soun" },
            &[0; 12],
        ]
        .concat();
        let codec = [&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16][..], b"avc1", &[0; 8]].concat();
        let tables = [mp4(*b"stsd", &codec), mp4(*b"stsz", &vec![7; *table])].concat();
        let media = [
            mp4(*b"mdhd", &header[..24]),
            mp4(*b"hdlr", &handler),
            mp4(*b"minf", &mp4(*b"stbl", &tables)),
        ];
        let parts = [mp4(*b"tkhd", &track), mp4(*b"mdia", &media.concat())];
        boxes.extend(mp4(*b"trak", &parts.concat()));
    }
    boxes.extend(mp4(*b"udta", &[0; 100]));
    mp4(*b"moov", &boxes)
}

#[test]
fn a_file_of_gigabytes_takes_three_reads() {
    let ftyp = cut(&file("last.mp4"), b"ftyp");
    for tables in [&[10, 10][..], &[700_000, 900_000], &[3_000_000]] {
        let moov = movie(tables);
        for size in [GIB, 5 * GIB] {
            let mdat = if size < 4 * GIB {
                narrow(*b"mdat", size)
            } else {
                wide(*b"mdat", size)
            };
            for source in [
                Source::joined(&[(&ftyp, 0), (&moov, 0), (&mdat, size)]),
                Source::joined(&[(&ftyp, 0), (&mdat, size), (&moov, 0)]),
            ] {
                let (check, reads) = source.examine(Format::Mp4);
                assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
                assert_eq!(check.duration_ms, Some(3_600_000));
                assert_eq!(check.tracks.len(), tables.len());
                assert!(reads <= 3, "{reads} reads, {tables:?}");
                for less in [1, size / 2] {
                    let cut = Source {
                        length: source.length - less,
                        ..source.clone()
                    };
                    let (check, reads) = cut.examine(Format::Mp4);
                    assert_eq!(check.verdict, Verdict::Truncated, "{check:?}");
                    assert!(reads <= 3, "{reads} reads, {tables:?}");
                }
                let longer = Source {
                    length: source.length + 100,
                    ..source.clone()
                };
                let (check, reads) = longer.examine(Format::Mp4);
                assert_eq!(check.verdict, Verdict::Unreadable, "{check:?}");
                assert!(reads <= 4, "{reads} reads, {tables:?}");
            }
        }
    }
}

#[test]
fn tables_beyond_the_reads_are_unknown() {
    let ftyp = cut(&file("last.mp4"), b"ftyp");
    let moov = movie(&[200_000; 12]);
    let source = Source::joined(&[(&ftyp, 0), (&moov, 0), (&narrow(*b"mdat", 100), 100)]);
    let (check, reads) = source.examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    assert!(
        check.reason.contains("out of reach of 8 reads"),
        "{check:?}"
    );
    assert_eq!((check.duration_ms, reads), (Some(3_600_000), 8));
    let moov = movie(&[0; 33]);
    let source = Source::joined(&[(&ftyp, 0), (&moov, 0), (&narrow(*b"mdat", 100), 100)]);
    let (check, _) = source.examine(Format::Mp4);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    assert_eq!(check.tracks.len(), 32);
}

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

#[test]
fn a_wav_file_of_gigabytes_takes_a_read_or_two() {
    let header = file("pcm.wav")[..44].to_vec();
    let of = |size: u64, riff: u32, data: u32| {
        let mut header = header.clone();
        header[4..8].copy_from_slice(&riff.to_le_bytes());
        header[40..44].copy_from_slice(&data.to_le_bytes());
        Source::joined(&[(&header, size)])
    };
    let size = 3 * GIB;
    let data = u32::try_from(size).unwrap();
    let (check, reads) = of(size, data + 36, data).examine(Format::Wav);
    assert_eq!((check.verdict, reads), (Verdict::Complete, 1), "{check:?}");
    assert_eq!(check.duration_ms, Some(size * 1000 / 16_000));
    let (check, _) = of(size - 1, data + 36, data).examine(Format::Wav);
    assert_eq!(check.verdict, Verdict::Truncated, "{check:?}");
    assert_eq!(check.duration_ms, Some((size - 1) * 1000 / 16_000));
    // The length does not fit into the 32 bits of the header, which has other numbers.
    let (check, _) = of(5 * GIB, 1000, 900).examine(Format::Wav);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    assert_eq!(check.duration_ms, Some(5 * GIB * 1000 / 16_000));
}

#[test]
fn an_mp3_file_of_an_hour_takes_two_reads() {
    // Frames of 72 bytes and 36 ms.
    for name in ["bare.mp3", "cbr.mp3"] {
        let bytes = file(name);
        // All but the last five frames of the fixture are in front.
        let (front, rest) = bytes.split_at(bytes.len() - 72 * 5);
        let before = u64::from(name == "bare.mp3") * (front.len() as u64 / 72);
        let mut bytes = [front, &rest.repeat(20_000)].concat();
        if name == "cbr.mp3" {
            let at = bytes.windows(4).position(|part| part == b"Info").unwrap() + 8;
            bytes[at..at + 4].copy_from_slice(&100_000_u32.to_be_bytes());
            let tag = 10 + usize::from(bytes[9]);
            let size = u32::try_from(bytes.len() - tag).unwrap();
            bytes[at + 4..at + 8].copy_from_slice(&size.to_be_bytes());
        }
        let duration = (100_000 + before) * 36;
        let source = Source::of(&bytes);
        let (check, reads) = source.examine(Format::Mp3);
        let told = format!("{name}: {check:?}");
        assert_eq!((check.verdict, reads), (Verdict::Complete, 2), "{told}");
        assert_eq!(check.duration_ms, Some(duration), "{told}");
        for less in [1, 37, 71] {
            let mut cut = source.clone();
            cut.length -= less;
            let (check, _) = cut.examine(Format::Mp3);
            assert_eq!(check.verdict, Verdict::Truncated, "{name}: {check:?}");
        }
        // Tags after the frames, and pictures before and after.
        let id3v1 = [&b"TAG"[..], &[0; 125]].concat();
        let picture = [&b"ID3\x04\0\0\0\x20\0\0"[..], &vec![0xff; 32 << 14]].concat();
        for (before, behind, most) in [(&[][..], 5_000, 2), (&picture, 600_000, 4)] {
            let bytes = [before, &bytes, &ape(behind), &id3v1].concat();
            let (check, reads) = Source::of(&bytes).examine(Format::Mp3);
            assert_eq!(check.verdict, Verdict::Complete, "{name}: {check:?}");
            assert_eq!(check.duration_ms, Some(duration));
            assert_eq!(reads, most, "{name}");
        }
    }
}

/// An APE tag of `size` bytes, with a header.
fn ape(size: u32) -> Vec<u8> {
    let part = [
        &b"APETAGEX"[..],
        &2000_u32.to_le_bytes(),
        &size.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &(1_u32 << 31).to_le_bytes(),
        &[0; 8],
    ];
    let part = part.concat();
    [part.clone(), vec![1; size as usize - 32], part].concat()
}
