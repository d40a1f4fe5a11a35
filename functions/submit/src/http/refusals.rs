//! Problems that depend on the settings of this server.

use crate::{http::problem::Problem, state::AppState};

impl AppState {
    /// Returns the problem of a request that exceeds the size limit.
    pub(crate) fn too_large(&self) -> Problem {
        let instead = if self.backend.objects.supports_uploads() {
            " Create an upload URL for a larger document with POST /uploads."
        } else {
            ""
        };
        Problem::body_too_large(self.settings.max_body_bytes, instead)
    }

    /// Validates and normalizes a URL from a field. Error: `url_refused`.
    pub(crate) fn callable(&self, field: &str, url: &str) -> Result<String, Problem> {
        let url = self.egress.check(url).map_err(|why| Problem::url_refused(field, &why))?;
        Ok(url.into())
    }
}
