//! Voice messages that do not lie in a file: from standard input, and from the microphone.

use std::io::Read as _;

use conclave_client::media::MAX_SOUND_BYTES;
use conclave_client::{StagedFile, Staging};

use super::Context;
use crate::args::Send;
use crate::failure::Failure;

/// Whether a voice message is to be sent: then no text is read.
pub(super) fn is_asked(args: &Send) -> bool {
    args.voice.is_some() || records(args)
}

#[cfg(feature = "microphone")]
const fn records(args: &Send) -> bool {
    args.record
}

#[cfg(not(feature = "microphone"))]
const fn records(_: &Send) -> bool {
    false
}

/// What is to be sent as a voice message, if it does not lie in a file: kept aside, encrypted, until it is sent.
pub(super) async fn taken(context: &Context, args: &Send) -> Result<Option<StagedFile>, Failure> {
    let recording = if records(args) {
        recorded(context).await?
    } else if args.voice.as_deref().is_some_and(|voice| voice.as_os_str() == "-") {
        let reading = tokio::task::spawn_blocking(read);
        tokio::select! {
            read = reading => read.map_err(|stopped| conclave_client::Error::bug(stopped.to_string()))??,
            () = context.stop.asked() => return Err(interrupted()),
        }
    } else {
        return Ok(None);
    };
    let profile = context.data_dir.profile(&context.profile()?);
    let staged = move || {
        let mut staging = Staging::begin(&profile, recording.len() as u64)?;
        staging.write(&recording)?;
        staging.finish()
    };
    let staged = tokio::task::spawn_blocking(staged).await;
    let staged = staged.map_err(|stopped| conclave_client::Error::bug(stopped.to_string()))?;
    Ok(Some(staged.map_err(conclave_client::Error::from)?))
}

fn read() -> Result<Vec<u8>, Failure> {
    let limit = MAX_SOUND_BYTES as u64;
    let mut recording = Vec::new();
    let read = std::io::stdin().lock().take(limit + 1).read_to_end(&mut recording);
    read.map_err(|error| Failure::failed("io", format!("read standard input: {error}"), "try again"))?;
    if recording.len() as u64 > limit {
        return Err(Failure::usage(
            "too_large",
            format!("the recording on standard input has more than {limit} bytes"),
            "make it shorter",
        ));
    }
    Ok(recording)
}

fn interrupted() -> Failure {
    Failure::failed("interrupted", "the recording was interrupted", "nothing was sent")
}

/// How long a voice message is, for people.
pub(super) fn length(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(not(feature = "microphone"))]
async fn recorded(_: &Context) -> Result<Vec<u8>, Failure> {
    Err(interrupted())
}

/// Records from the microphone until Enter is pressed.
#[cfg(feature = "microphone")]
async fn recorded(context: &Context) -> Result<Vec<u8>, Failure> {
    let (tell, told) = std::sync::mpsc::channel();
    let recording = tokio::task::spawn_blocking(move || microphone::record(&told));
    context.output.note("recording … Enter sends it, Ctrl-C throws it away");
    let enter = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    tokio::select! {
        _ = enter => {}
        () = tokio::time::sleep(microphone::LONGEST) => {}
        () = context.stop.asked() => return Err(interrupted()),
    }
    drop(tell);
    let recorded = recording.await.map_err(|stopped| conclave_client::Error::bug(stopped.to_string()))?;
    let (samples, rate) = recorded.map_err(|error| {
        Failure::failed(
            "microphone",
            format!("the microphone: {error}"),
            "see that one is there and that programs may use it",
        )
    })?;
    Ok(conclave_client::media::wav(&samples, rate))
}

#[cfg(feature = "microphone")]
mod microphone {
    use std::sync::mpsc::{Receiver, RecvTimeoutError};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
    use cpal::{FromSample, Sample as _, SampleFormat, SizedSample, StreamConfig};

    /// As other programs of the protocol do. (client-messages 4.6)
    pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

    type Taken = Arc<Mutex<Vec<i16>>>;
    /// What the system says.
    type Trouble = Box<dyn std::error::Error + Send + Sync>;

    /// Records until the other end is dropped: samples of one channel, and how many there are in a second.
    pub(super) fn record(stop: &Receiver<()>) -> Result<(Vec<i16>, u32), Trouble> {
        let device = cpal::default_host().default_input_device();
        let device = device.ok_or("there is none")?;
        let config = device.default_input_config()?;
        let (format, config): (_, StreamConfig) = (config.sample_format(), config.into());
        let taken = Taken::default();
        let stream = match format {
            SampleFormat::F32 => stream::<f32>(&device, &config, &taken),
            SampleFormat::I16 => stream::<i16>(&device, &config, &taken),
            SampleFormat::U16 => stream::<u16>(&device, &config, &taken),
            SampleFormat::I32 => stream::<i32>(&device, &config, &taken),
            other => return Err(format!("it gives samples as {other}, which is not understood").into()),
        }?;
        stream.play()?;
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(Duration::from_secs(1)) {}
        drop(stream);
        let samples = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((samples, config.sample_rate))
    }

    fn stream<T: SizedSample>(
        device: &cpal::Device,
        config: &StreamConfig,
        taken: &Taken,
    ) -> Result<cpal::Stream, Trouble>
    where
        f32: FromSample<T>,
    {
        let (taken, channels) = (Arc::clone(taken), usize::from(config.channels).max(1));
        let mix = move |samples: &[T], _: &_| {
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.extend(samples.chunks(channels).map(|frame| {
                let sum: f32 = frame.iter().map(|sample| f32::from_sample(*sample)).sum();
                i16::from_sample(sum / frame.len() as f32)
            }));
        };
        Ok(device.build_input_stream(config, mix, |error| tracing::warn!(%error, "the microphone"), None)?)
    }
}
