//! The media formats of recordings. Pure.

/// The media formats that ACS records.
///
/// <https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Video and audio; also the format of an event that names none, as in the 2021 preview.
    #[default]
    Mp4,
    /// Compressed audio.
    Mp3,
    /// Uncompressed audio.
    Wav,
}

impl Format {
    /// The format called `name`, in any letter case; [`Format::Mp4`] if no format has this name.
    pub(crate) fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "mp3" => Self::Mp3,
            "wav" => Self::Wav,
            _ => Self::Mp4,
        }
    }

    /// The extension of the object's key.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }

    /// The content type of an object whose source names none.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_in_any_letter_case() {
        for (name, format) in [
            ("Mp4", Format::Mp4),
            ("MP3", Format::Mp3),
            ("wav", Format::Wav),
            ("ogg", Format::Mp4),
            ("", Format::Mp4),
        ] {
            assert_eq!(Format::named(name), format, "{name}");
        }
    }
}
