//! Examinations of MP4 files that are larger than the reads.

use super::boxes::{cut, mp4, narrow, wide};
use super::*;

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
