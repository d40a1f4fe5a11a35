//! Problems that depend on the settings.

use crate::{http::problem::Problem, state::AppState};

impl AppState {
    /// The problem of a request that is larger than this door takes.
    pub(crate) fn too_large(&self) -> Problem {
        let elsewhere = self.backend.objects.takes_uploads();
        let instead =
            if elsewhere { " Announce a larger document by POST /uploads, and put it where that says." } else { "" };
        Problem::body_too_large(self.settings.max_body_bytes, instead)
    }

    /// A URL that we may call, from a field.
    pub(crate) fn callable(&self, field: &str, url: &str) -> Result<String, Problem> {
        let url = self.egress.check(url).map_err(|why| Problem::url_refused(field, &why))?;
        Ok(url.into())
    }
}
