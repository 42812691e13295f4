//! A server of one's own, that a test may stop.

use super::home::script;

pub(crate) struct Server {
    pub(crate) folder: String,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn new() -> Self {
        let folder = script(&["new"]);
        Self { url: script(&["start", &folder]), folder }
    }

    pub(crate) fn standby(&self) -> Self {
        let folder = script(&["standby", &self.folder]);
        Self { url: script(&["start", &folder]), folder }
    }

    pub(crate) fn start(&self, settings: &[&str]) {
        script(&[&["start", self.folder.as_str()], settings].concat());
    }

    pub(crate) fn stop(&self, how: &str) {
        script(&["stop", &self.folder, how]);
    }

    /// Host and port.
    pub(crate) fn place(&self) -> &str {
        self.url.split_once('@').unwrap().1.split_once('/').unwrap().0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["remove", &self.folder]);
    }
}
