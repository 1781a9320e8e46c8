//! Why a verb failed: one line for a person, one exit code for a script.

use std::io::Write as _;
use std::process::ExitCode;

use gateway::OpenError;
use store::StoreError;
use vault::VaultError;

/// A failure, told once, at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// What went wrong, as far as a script can act on it. The numbers are the exit codes; clap takes 2 for what was typed
/// wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Other = 1,
    Settings = 3,
    /// A secret that is empty, weak or not at hand.
    Secret = 4,
    PortInUse = 5,
    /// A database with a schema that is newer, or older, than this program's.
    Schema = 6,
    DatabaseUnavailable = 7,
    /// What was named is not there.
    NotFound = 8,
    /// What was to be made is there already.
    Conflict = 9,
    /// A row of the database that makes no sense.
    Poison = 10,
    /// Something is wrong with the installation: what the doctor ends with.
    Unwell = 11,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    /// The same, when the master key that did not fit had been made a moment ago.
    pub(crate) fn because_no_master_key(self) -> Self {
        if self.kind != Kind::Secret {
            return self;
        }
        let message = "this database was sealed under a master key that is not here: set TOLLGATE_MASTER_KEY or \
                       TOLLGATE_MASTER_KEY_FILE to it";
        Self::new(Kind::Secret, message)
    }

    /// Tells it and turns it into the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // A terminal that cannot be written to leaves the exit code.
        let _unheard = writeln!(std::io::stderr(), "tollgate: {}", self.message);
        ExitCode::from(self.kind as u8)
    }

    /// Whether a row of the database is to blame.
    pub(crate) fn is_about_a_row(&self) -> bool {
        self.kind == Kind::Poison
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
impl Kind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 10] = [
        Self::Other,
        Self::Settings,
        Self::Secret,
        Self::PortInUse,
        Self::Schema,
        Self::DatabaseUnavailable,
        Self::NotFound,
        Self::Conflict,
        Self::Poison,
        Self::Unwell,
    ];

    /// For `docs/command-line.md`. Whoever adds a kind comes past here, and adds it above, too.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Other => "Anything else; the line on standard error says what.",
            Self::Settings => {
                "A setting has an unknown name or a value that makes no sense, or the file with settings cannot be read."
            }
            Self::Secret => {
                "A secret is missing, empty or weak, or the master key is not the one of this database."
            }
            Self::PortInUse => "The address of a listener is taken.",
            Self::Schema => {
                "The database has a schema that is newer than this program, or older: `tollgate migrate` brings an older one up to date."
            }
            Self::DatabaseUnavailable => "The database does not answer.",
            Self::NotFound => {
                "What was named is not there: a tenant, a key, a credential, a route, a limit, a price, a provider."
            }
            Self::Conflict => {
                "What was to be made is there already, or somebody else is doing the same at this moment."
            }
            Self::Poison => "A row of the database makes no sense.",
            Self::Unwell => {
                "Something is wrong with the installation: `tollgate doctor` found a problem, `tollgate ledger verify` a difference."
            }
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Spool { .. } => Self::other(error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::BadUrl(_) => Kind::Settings,
            StoreError::Unavailable(_) => Kind::DatabaseUnavailable,
            StoreError::SchemaTooNew { .. } | StoreError::SchemaTooOld { .. } => Kind::Schema,
            StoreError::WrongMasterKey | StoreError::Vault(_) => Kind::Secret,
            StoreError::NotFound { .. } => Kind::NotFound,
            StoreError::Conflict { .. } => Kind::Conflict,
            StoreError::Poison { .. } => Kind::Poison,
            StoreError::Invalid { .. } | StoreError::Other(_) => Kind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::new(Kind::Secret, error.to_string())
    }
}
