//! `--store` of the commands that look after a store.

use clap::Args;

use crate::store_url::StoreUrl;

/// See the module's head.
#[derive(Args, Debug)]
pub(super) struct StoreArg {
    /// The store; a URL with a password belongs in the environment
    #[arg(
        long,
        env = "TRUNKLINE_STORE",
        value_name = "URL",
        default_value = "sqlite:./trunkline.db",
        hide_env_values = true
    )]
    store: String,
}

impl StoreArg {
    /// Which it is.
    pub(super) fn url(self) -> StoreUrl {
        StoreUrl::new(self.store)
    }

    /// The same of one that is to be there.
    pub(super) fn standing(self) -> anyhow::Result<StoreUrl> {
        standing("--store", self.url())
    }
}

/// Refuses a file that is not there: who asks after a store makes none.
pub(super) fn standing(flag: &str, url: StoreUrl) -> anyhow::Result<StoreUrl> {
    if let Some(path) = url.file()
        && !path.exists()
    {
        anyhow::bail!("{flag}: {} is not there", path.display());
    }
    Ok(url)
}
