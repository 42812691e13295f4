//! The bindings of agents on disk, so that a restart finds those over datagrams again: a file beside the store, a line for each change,
//! the last line of a number being what holds. A flow over a connection ends with its connection (RFC 5626 section 4.4), and is
//! not kept.
//!
//! A line is one write(2) before the REGISTER is answered: it survives `kill -9`, and a power loss perhaps not, after which
//! agents come with their next refresh as they did before. What was written and is over stands there until the file is written anew:
//! at the start, and when it has grown well beyond what holds. Agents' addresses are in it: its owner alone can read it.

use domain::Timestamp;
use domain::ids::NumberId;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use sip::register::EXPIRES_MAX;
use sip::{Flow, Listener, Transport};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::registrations::{Binding, PER_NUMBER_MAX};

/// The file is written anew when it is longer than this, and four times as long as it was when it was written last.
const GROWS_TO: u64 = if cfg!(test) { 4 << 10 } else { 1 << 20 };

#[derive(Serialize, Deserialize)]
struct Line {
    number: String,
    bindings: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    contact: String,
    /// Our socket: of another one the agent knows nothing.
    listener: SocketAddr,
    remote: SocketAddr,
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow_id: Option<u32>,
    call_id: String,
    cseq: u32,
    /// Both in microseconds since 1970.
    registered_at: i64,
    until: i64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    /// How long it is, and was when it was written anew.
    bytes: (u64, u64),
    locals: Vec<SocketAddr>,
    /// It could not be written: said once.
    failed: bool,
}

/// What a file says holds, at a time; what is over, or came by a socket that is not there any more, is left out.
pub(super) fn read(
    path: &Path,
    listeners: &[Listener],
    (now, wall): (Instant, Timestamp),
) -> std::io::Result<HashMap<NumberId, Vec<Binding>>> {
    let mut found = HashMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        // The last one may be half a line.
        let Ok(Line { number, bindings }) = serde_json::from_slice(&line) else { continue };
        let Some(number) = NumberId::parse(&number) else { continue };
        let bindings: Vec<_> = bindings
            .into_iter()
            .take(PER_NUMBER_MAX)
            .filter_map(|row| row.binding(listeners, (now, wall)))
            .collect();
        if bindings.is_empty() {
            found.remove(&number);
        } else {
            found.insert(number, bindings);
        }
    }
    Ok(found)
}

impl Row {
    fn binding(self, listeners: &[Listener], (now, wall): (Instant, Timestamp)) -> Option<Binding> {
        let here = |one: &Listener| one.transport == Transport::Udp && one.local == self.listener;
        let listener = u16::try_from(listeners.iter().position(here)?).ok()?;
        let registered_at = Timestamp::from_microsecond(self.registered_at).ok()?;
        let until = Timestamp::from_microsecond(self.until).ok()?;
        // No longer than any binding is given, should the clock have been set back.
        let left = Duration::try_from(until.duration_since(wall)).ok().filter(|left| !left.is_zero())?;
        let lasts = left.min(Duration::from_secs(EXPIRES_MAX.into()));
        let (transport, remote, connection) = (Transport::Udp, self.remote, None);
        Some(Binding {
            contact: self.contact,
            flow: Flow { listener, transport, remote, connection },
            username: self.username,
            instance: self.instance,
            flow_id: self.flow_id,
            call_id: self.call_id,
            cseq: self.cseq,
            registered_at,
            until,
            seen: now,
            lasts,
        })
    }
}

impl Kept {
    /// A file of what holds, in place of what there was.
    pub(super) fn create<'b>(
        path: &Path,
        locals: Vec<SocketAddr>,
        holds: impl Iterator<Item = (NumberId, &'b [Binding])>,
    ) -> std::io::Result<Self> {
        let next = path.with_added_extension("next");
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = BufWriter::new(options.open(&next)?);
        let mut length = 0;
        for (number, bindings) in holds {
            if let Some(line) = line(&locals, number, bindings) {
                file.write_all(&line)?;
                length += line.len() as u64;
            }
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&next, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, bytes: (length, length), locals, failed: false })
    }

    /// Writes what holds of a number. True when the file should be written anew.
    pub(super) fn write(&mut self, number: NumberId, bindings: &[Binding]) -> bool {
        let none = || written(&Line { number: number.to_string(), bindings: Vec::new() });
        let mut line = line(&self.locals, number, bindings).unwrap_or_else(none);
        if self.failed {
            // What failed may have left half a line, which would swallow this one.
            line.insert(0, b'\n');
        }
        match self.file.write_all(&line) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::error!(error = %error, "registrations cannot be kept: a restart would lose them");
            }
            Err(_) => {}
        }
        self.bytes.0 += line.len() as u64;
        self.bytes.0 > GROWS_TO.max(self.bytes.1 * 4)
    }

    /// The file with what holds alone.
    pub(super) fn anew<'b>(
        &self,
        holds: impl Iterator<Item = (NumberId, &'b [Binding])>,
    ) -> std::io::Result<Self> {
        Self::create(&self.path, self.locals.clone(), holds)
    }

    /// It cannot be written anew: not tried again before it has grown once more.
    pub(super) fn grown(&mut self, error: &std::io::Error) {
        self.bytes.1 = self.bytes.0;
        tracing::error!(error = %error, "the file of registrations cannot be written anew");
    }
}

/// What holds of a number; none where nothing does that is kept.
fn line(locals: &[SocketAddr], number: NumberId, bindings: &[Binding]) -> Option<Vec<u8>> {
    let row = |one: &Binding| {
        let listener = *locals.get(usize::from(one.flow.listener))?;
        (one.flow.transport == Transport::Udp).then(|| Row {
            contact: one.contact.clone(),
            listener,
            remote: one.flow.remote,
            username: one.username.clone(),
            instance: one.instance.clone(),
            flow_id: one.flow_id,
            call_id: one.call_id.clone(),
            cseq: one.cseq,
            registered_at: one.registered_at.as_microsecond(),
            until: one.until.as_microsecond(),
        })
    };
    let bindings: Vec<_> = bindings.iter().filter_map(row).collect();
    (!bindings.is_empty()).then(|| written(&Line { number: number.to_string(), bindings }))
}

fn written(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const NUMBER: NumberId = NumberId(uuid::Uuid::from_u128(1));

    fn listeners() -> Vec<Listener> {
        let one = |transport, port: u16| Listener {
            transport,
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            public_host: "h".to_owned(),
            public_port: port,
        };
        vec![one(Transport::Tcp, 5060), one(Transport::Udp, 5060)]
    }

    fn binding(contact: &str, transport: Transport, (now, wall): (Instant, Timestamp)) -> Binding {
        let listener = u16::from(transport == Transport::Udp);
        let connection = transport.stream().then_some(7);
        let lasts = Duration::from_mins(1);
        Binding {
            contact: contact.to_owned(),
            flow: Flow { listener, transport, remote: "192.0.2.7:40000".parse().unwrap(), connection },
            username: "tl1".to_owned(),
            instance: Some("<urn:uuid:1>".to_owned()),
            flow_id: None,
            call_id: "c\r\nX: \"".to_owned(),
            cseq: 7,
            registered_at: wall,
            until: wall.checked_add(lasts).unwrap(),
            seen: now,
            lasts,
        }
    }

    /// A folder that goes with its test, however that ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("trunkline-bindings-{name}-{:x}", clock::process_number());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("t.bindings")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn what_came_over_datagrams_is_found_again_with_the_time_that_is_left() {
        let folder = Folder::new("left");
        let path = folder.file();
        let times = (clock::instant(), clock::now());
        let later = |seconds| (times.0, times.1.checked_add(Duration::from_secs(seconds)).unwrap());
        assert!(read(&path, &listeners(), times).unwrap().is_empty(), "no file yet");
        let locals: Vec<_> = listeners().iter().map(|one| one.local).collect();
        let mut kept = Kept::create(&path, locals, std::iter::empty()).unwrap();
        let both = [binding("sip:a@h", Transport::Udp, times), binding("sip:b@h", Transport::Tcp, times)];
        assert!(!kept.write(NUMBER, &both));
        let found = read(&path, &listeners(), later(20)).unwrap();
        let [one] = &found[&NUMBER][..] else { panic!("{found:?}") };
        assert_eq!(one.lasts.as_secs(), 40);
        assert_eq!(Binding { lasts: both[0].lasts, ..one.clone() }, both[0]);
        // A clock that was set back gives nobody a day.
        let back = (times.0, times.1.checked_sub(Duration::from_hours(24)).unwrap());
        assert_eq!(read(&path, &listeners(), back).unwrap()[&NUMBER][0].lasts.as_secs(), 3_600);
        assert!(read(&path, &listeners(), later(60)).unwrap().is_empty(), "it is over");
        assert!(read(&path, &listeners()[..1], times).unwrap().is_empty(), "its socket is not there");
        // Half a line, and what nobody wrote.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"\xff{}\n{\"number\":").unwrap();
        assert_eq!(read(&path, &listeners(), times).unwrap().len(), 1);
        // A disk that was full for a while: what comes after half a line holds.
        (kept.failed, kept.bytes) = (true, (0, 0));
        kept.write(NUMBER, &[]);
        assert!(read(&path, &listeners(), times).unwrap().is_empty() && !kept.failed);
        let mut kept = kept.anew(std::iter::once((NUMBER, &both[..]))).unwrap();
        kept.write(NUMBER, &both[1..]);
        assert!(read(&path, &listeners(), times).unwrap().is_empty(), "the last line holds");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn the_file_asks_to_be_written_anew_when_it_has_grown() {
        let folder = Folder::new("grown");
        let path = folder.file();
        let times = (clock::instant(), clock::now());
        let locals: Vec<_> = listeners().iter().map(|one| one.local).collect();
        let mut kept = Kept::create(&path, locals, std::iter::empty()).unwrap();
        let one = [binding("sip:a@h", Transport::Udp, times)];
        let writes = (1..1_000).find(|_| kept.write(NUMBER, &one)).unwrap();
        assert!((5..50).contains(&writes), "{writes}");
        let kept = kept.anew(std::iter::once((NUMBER, &one[..]))).unwrap();
        assert!(kept.bytes.0 < 1_000 && path.metadata().unwrap().len() == kept.bytes.0);
    }
}
