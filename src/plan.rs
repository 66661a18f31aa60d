//! The plan of an upload: which bytes are which part, and which parts are missing. Pure.
//!
//! The length and the part size alone decide the plan, so part *n* has the same bytes in every run:
//! two deliveries that do not know of each other can fill one upload together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use crc_fast::{CrcAlgorithm, checksum_combine};

/// The largest number of parts of a multipart upload.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const MAX_PARTS: u64 = 10_000;

/// A part number, from 1.
pub type PartNumber = u32;

/// The plan of one object's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    length: u64,
    part_size: u64,
}

/// A part that S3 lists for an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// The size, in bytes.
    pub size: u64,
    /// The ETag, as S3 gave it.
    pub etag: String,
    /// The CRC64NVME, if the store reports one.
    pub crc64nvme: Option<u64>,
    /// The time of the upload, by S3's clock.
    pub last_modified: Option<SystemTime>,
}

/// The parts of an upload, by number.
pub type ListedParts = BTreeMap<PartNumber, ListedPart>;

impl Plan {
    /// The plan for `length` bytes in parts of `part_size`; `None` if either is 0, or if more than
    /// 10,000 parts result.
    #[must_use]
    pub fn new(length: u64, part_size: u64) -> Option<Self> {
        let usable = length > 0 && part_size > 0 && length.div_ceil(part_size) <= MAX_PARTS;
        usable.then_some(Self { length, part_size })
    }

    /// The part size for an object of `length` bytes: `preferred`, or the next multiple of
    /// `preferred` that needs at most 10,000 parts.
    pub(crate) fn part_size_for(length: u64, preferred: u64) -> u64 {
        let preferred = preferred.max(1);
        let multiple = length.div_ceil(MAX_PARTS).div_ceil(preferred).max(1);
        preferred.saturating_mul(multiple)
    }

    /// The object's length, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The bytes of each part except the last.
    pub(crate) fn part_size(&self) -> u64 {
        self.part_size
    }

    /// The number of parts.
    #[must_use]
    pub fn count(&self) -> PartNumber {
        // At most 10,000, see `new`.
        u32::try_from(self.length.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    /// The part numbers in ascending order.
    #[must_use]
    pub fn numbers(&self) -> impl DoubleEndedIterator<Item = PartNumber> + use<> {
        1..=self.count()
    }

    /// The bytes of part `number`, half-open; empty for a number outside the plan.
    #[must_use]
    pub fn range(&self, number: PartNumber) -> Range<u64> {
        let start = u64::from(number.saturating_sub(1)).saturating_mul(self.part_size);
        let end = start.saturating_add(self.part_size).min(self.length);
        if number == 0 || start >= end {
            0..0
        } else {
            start..end
        }
    }

    /// Returns `true` if `part` has the size of part `number`. A part of another size is put again.
    pub(crate) fn fits(&self, number: PartNumber, part: &ListedPart) -> bool {
        let range = self.range(number);
        !range.is_empty() && part.size == range.end - range.start
    }

    /// The numbers of the parts that `listed` lacks, or has in another size, in ascending order.
    pub fn missing<'a>(
        &self,
        listed: &'a ListedParts,
    ) -> impl Iterator<Item = PartNumber> + use<'a> {
        let plan = *self;
        self.numbers().filter(move |number| {
            !listed
                .get(number)
                .is_some_and(|part| plan.fits(*number, part))
        })
    }
}

/// The CRC64NVME of an object, from those of its parts without the data; `None` if a part has none.
pub(crate) fn combined_crc64nvme<'a>(
    parts: impl IntoIterator<Item = &'a ListedPart>,
) -> Option<u64> {
    combined(parts.into_iter().map(|part| (part.crc64nvme, part.size)))
}

/// The CRC64NVME of an object, from those of its parts, each with its size in bytes; `None` if a
/// part has none.
pub(crate) fn combined(parts: impl IntoIterator<Item = (Option<u64>, u64)>) -> Option<u64> {
    parts.into_iter().try_fold(0, |crc, (next, size)| {
        Some(checksum_combine(CrcAlgorithm::Crc64Nvme, crc, next?, size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crc_fast::checksum;
    use proptest::prelude::*;

    fn part(size: u64) -> ListedPart {
        ListedPart {
            size,
            etag: String::new(),
            crc64nvme: None,
            last_modified: None,
        }
    }

    #[test]
    fn ranges_of_known_plans() {
        for (length, part_size, expected) in [
            (1, 16, &[(0_u64, 1_u64)] as &[_]),
            (16, 16, &[(0, 16)]),
            (17, 16, &[(0, 16), (16, 17)]),
            (32, 16, &[(0, 16), (16, 32)]),
            (39, 16, &[(0, 16), (16, 32), (32, 39)]),
        ] {
            let plan = Plan::new(length, part_size).unwrap();
            let ranges = plan.numbers().map(|number| plan.range(number));
            let ranges: Vec<_> = ranges.map(|range| (range.start, range.end)).collect();
            assert_eq!(ranges, expected, "{length} in parts of {part_size}");
            assert!(plan.range(0).is_empty());
            assert!(plan.range(plan.count() + 1).is_empty());
        }
    }

    #[test]
    fn no_plan_for_no_bytes_or_too_many_parts() {
        assert_eq!(Plan::new(0, 16), None);
        assert_eq!(Plan::new(16, 0), None);
        assert!(Plan::new(160_000, 16).is_some());
        assert_eq!(Plan::new(160_001, 16), None);
    }

    #[test]
    fn a_listed_part_of_another_size_is_missing() {
        let plan = Plan::new(40, 16).unwrap();
        let listed = ListedParts::from([(1, part(16)), (2, part(15)), (3, part(8)), (4, part(16))]);
        assert_eq!(plan.missing(&listed).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn no_combined_checksum_if_a_part_has_none() {
        let with = ListedPart {
            crc64nvme: Some(1),
            ..part(3)
        };
        assert_eq!(combined_crc64nvme([&with, &part(3)]), None);
    }

    proptest! {
        #[test]
        fn parts_tile_the_length_exactly(
            length in 1_u64..5_000_000_000_000,
            preferred in 1_u64..1 << 30,
        ) {
            let part_size = Plan::part_size_for(length, preferred);
            prop_assert_eq!(part_size % preferred, 0);
            let plan = Plan::new(length, part_size).unwrap();
            let mut end = 0;
            for number in plan.numbers() {
                let range = plan.range(number);
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                prop_assert!(range.end - range.start == part_size || number == plan.count());
                end = range.end;
            }
            prop_assert_eq!(end, length);
            prop_assert_eq!(plan.missing(&ListedParts::new()).count(), plan.count() as usize);
        }

        #[test]
        fn parts_combine_to_the_checksum_of_the_object(
            data in proptest::collection::vec(any::<u8>(), 1..4_000),
            part_size in 1_u64..700,
        ) {
            let plan = Plan::new(data.len() as u64, part_size).unwrap();
            let parts = data.chunks(usize::try_from(part_size).unwrap()).map(|bytes| ListedPart {
                crc64nvme: Some(checksum(CrcAlgorithm::Crc64Nvme, bytes)),
                ..part(bytes.len() as u64)
            });
            let parts: Vec<_> = parts.collect();
            prop_assert_eq!(parts.len(), plan.count() as usize);
            let mut planned = plan.numbers().zip(&parts);
            prop_assert!(planned.all(|(number, part)| plan.fits(number, part)));
            let crc64nvme = checksum(CrcAlgorithm::Crc64Nvme, &data);
            prop_assert_eq!(combined_crc64nvme(&parts), Some(crc64nvme));
        }
    }
}
