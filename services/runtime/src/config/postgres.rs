//! The warehouse's settings.

use std::str::FromStr as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Secret, Settings, TAKES_CERTIFICATES, any_text, certificates, port};

/// How to reach PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: Option<Secret>,
    ssl_mode: PgSslMode,
    ca: Option<String>,
}

impl PostgresConfig {
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let host = settings.required("PG_WAREHOUSE_HOST", "a host name", any_text);
        let port = settings.or("PG_WAREHOUSE_PORT", 5432, "a port from 1 to 65535", port);
        let database = settings.required("PG_WAREHOUSE_DBNAME", "a database's name", any_text);
        let user = settings.required("PG_WAREHOUSE_USER", "a role's name", any_text);
        let password = settings.secret("PG_WAREHOUSE_PASSWORD").map(Secret::from);
        let ssl_mode = settings.or(
            "PG_WAREHOUSE_SSLMODE",
            PgSslMode::Require,
            "disable, allow, prefer, require, verify-ca or verify-full",
            |text| PgSslMode::from_str(text).ok(),
        );
        let ca = settings.optional("PG_WAREHOUSE_SSLROOTCERT", TAKES_CERTIFICATES, certificates);
        // As libpq has it: an authority is named in order to be asked.
        let ssl_mode = ssl_mode.map(|mode| match (mode, &ca) {
            (PgSslMode::Require, Some(Some(_))) => PgSslMode::VerifyCa,
            (mode, _) => mode,
        });
        Some(Self {
            host: host?,
            port: port?,
            database: database?,
            user: user?,
            password,
            ssl_mode: ssl_mode?,
            ca: ca?,
        })
    }

    /// What the driver needs to connect.
    #[must_use]
    pub fn connect_options(&self, application: &str) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .ssl_mode(self.ssl_mode)
            .application_name(application)
            // A statement's text is long and says nothing that the stages' histogram does not.
            .disable_statement_logging();
        if let Some(password) = &self.password {
            options = options.password(password.reveal());
        }
        if let Some(ca) = &self.ca {
            options = options.ssl_root_cert(ca);
        }
        options
    }
}
