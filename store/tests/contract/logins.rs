//! Logins with Google: begun and taken once, renewed by one, ended for good; and sessions of the pages.

use store::{
    ENCRYPTED_COLUMNS, GoogleFailure, GoogleKind, GoogleLogin, NewCredential, NewGoogleAttempt,
    NewGoogleLogin, StoreError, TakenAttempt, UiSession,
};
use testkit::database::TestDatabase;
use vault::Secret;

use crate::world::{CHANGE, NOW_MS, World, new_credential};

crate::on_both_databases!(
    a_login_that_was_begun_is_taken_once,
    a_login_that_was_begun_ends_in_time,
    of_many_who_renew_a_token_one_does,
    an_answer_that_comes_too_late_changes_nothing,
    what_google_has_ended_is_claimed_by_nobody,
    that_google_refuses_a_token_is_noted_for_this_token_alone,
    a_login_goes_with_its_credential_and_is_found_by_its_own_tenant_alone,
    sessions_come_and_go,
);

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

async fn begin(world: &World, id: &str) {
    let attempt = NewGoogleAttempt {
        id,
        tenant_id: "ten-a",
        session_id: "session",
        browser: "browser",
        credential_name: "work",
        project_id: Some("p-1"),
        consent_text: 1,
        verifier: &secret("verifier-canary"),
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 600_000,
    };
    world.store.begin_google_attempt(&attempt).await.unwrap();
}

/// A tenant's login whose token ends now.
async fn login(world: &World, tenant: &str) -> GoogleLogin {
    let tenant_id = format!("ten-{tenant}");
    let (secret, id) = (secret("tokens-1"), format!("cred-{tenant}"));
    let credential = NewCredential {
        id: &id,
        provider: "gemini-cli",
        ..new_credential(&tenant_id, "work", Some(&secret))
    };
    let new = NewGoogleLogin {
        kind: GoogleKind::OwnClient,
        email: Some("someone@example.com"),
        project_id: None,
        expires_at_ms: NOW_MS,
        consent: Some(("key:k", 1)),
    };
    let added = world
        .store
        .add_google_login(&CHANGE, &credential, &new)
        .await
        .unwrap();
    assert_eq!(added, id);
    world
        .store
        .google_login(&tenant_id, &id)
        .await
        .unwrap()
        .unwrap()
        .0
}

async fn a_login_that_was_begun_is_taken_once(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    begin(&world, "state-1").await;
    // Its verifier is sealed, and counted with what a rotation covers.
    let sealed = world.store.vault_status().await.unwrap().blobs;
    assert_eq!(sealed.len(), ENCRYPTED_COLUMNS.len());
    assert!(
        sealed
            .iter()
            .any(|(column, count)| column.table == "google_login_attempts" && *count == 1)
    );
    assert_eq!(world.store.verify_sealed().await.unwrap().broken, []);
    let takers = (0..6).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move { store.take_google_attempt("state-1", NOW_MS).await.unwrap() })
    });
    let (mut taken, mut used) = (0, 0);
    for taker in takers.collect::<Vec<_>>() {
        match taker.await.unwrap() {
            TakenAttempt::Taken(attempt) => {
                assert_eq!(attempt.verifier.expose(), "verifier-canary");
                assert_eq!(
                    (attempt.credential_name.as_str(), attempt.project_id.as_deref()),
                    ("work", Some("p-1"))
                );
                taken += 1;
            }
            TakenAttempt::Used => used += 1,
            TakenAttempt::Expired | TakenAttempt::Unknown => panic!("it is there"),
        }
    }
    assert_eq!((taken, used), (1, 5));
    let left = "SELECT COUNT(*) FROM google_login_attempts WHERE verifier IS NOT NULL";
    assert_eq!(world.count(left).await, 0);
    let unknown = world.store.take_google_attempt("state-2", NOW_MS).await.unwrap();
    assert!(matches!(unknown, TakenAttempt::Unknown));
}

async fn a_login_that_was_begun_ends_in_time(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    begin(&world, "state-1").await;
    let late = world
        .store
        .take_google_attempt("state-1", NOW_MS + 600_000)
        .await
        .unwrap();
    assert!(matches!(late, TakenAttempt::Expired));
    for number in 0..50 {
        begin(&world, &format!("open-{number}")).await;
    }
    let attempt = NewGoogleAttempt {
        id: "one-more",
        tenant_id: "ten-a",
        session_id: "session",
        browser: "browser",
        credential_name: "work",
        project_id: None,
        consent_text: 1,
        verifier: &secret("v"),
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 600_000,
    };
    let refused = world.store.begin_google_attempt(&attempt).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    let later = NewGoogleAttempt {
        created_at_ms: NOW_MS + 600_000,
        expires_at_ms: NOW_MS + 1_200_000,
        ..attempt
    };
    world.store.begin_google_attempt(&later).await.unwrap();
}

async fn of_many_who_renew_a_token_one_does(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    let login = login(&world, "a").await;
    let due = world
        .store
        .due_google_logins(NOW_MS + 1, NOW_MS, 10)
        .await
        .unwrap();
    assert_eq!(due, [("ten-a".to_owned(), "cred-a".to_owned())]);
    let claims = (0..6).map(|number| {
        let (store, login) = (world.store.clone(), login.clone());
        tokio::spawn(async move {
            let claimant = format!("replica-{number}");
            let until_ms = NOW_MS + 30_000;
            let claimed = store
                .claim_google_login(&login, &claimant, NOW_MS, until_ms)
                .await;
            claimed.unwrap().then_some(claimant)
        })
    });
    let mut winners = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        winners.extend(claim.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(
        world
            .store
            .due_google_logins(NOW_MS + 1, NOW_MS, 10)
            .await
            .unwrap(),
        []
    );
    let renewed = world
        .store
        .renew_google_login(
            &CHANGE,
            &login,
            &winners[0],
            &secret("tokens-2"),
            NOW_MS + 3_600_000,
        )
        .await;
    assert_eq!(renewed, Ok(true));
    let (after, tokens) = world
        .store
        .google_login("ten-a", "cred-a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (after.token_version, after.expires_at_ms, tokens.expose()),
        (2, NOW_MS + 3_600_000, "tokens-2")
    );
    let bundle = world.store.load_tenant("ten-a").await.unwrap().unwrap();
    let in_bundle = bundle.credentials[0].login.unwrap();
    assert_eq!(
        (in_bundle.token_version, in_bundle.consented, in_bundle.revoked),
        (2, true, false)
    );
}

async fn an_answer_that_comes_too_late_changes_nothing(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    let old = login(&world, "a").await;
    let store = &world.store;
    assert_eq!(
        store
            .claim_google_login(&old, "slow", NOW_MS, NOW_MS + 30_000)
            .await,
        Ok(true)
    );
    assert_eq!(
        store
            .claim_google_login(&old, "quick", NOW_MS + 29_999, NOW_MS + 60_000)
            .await,
        Ok(false)
    );
    assert_eq!(
        store
            .claim_google_login(&old, "quick", NOW_MS + 30_000, NOW_MS + 60_000)
            .await,
        Ok(true)
    );
    let late = store
        .renew_google_login(&CHANGE, &old, "slow", &secret("late"), NOW_MS + 1)
        .await;
    assert_eq!(late, Ok(false));
    let quick = store
        .renew_google_login(&CHANGE, &old, "quick", &secret("quick"), NOW_MS + 2)
        .await;
    assert_eq!(quick, Ok(true));
    assert_eq!(
        store
            .claim_google_login(&old, "slow", NOW_MS + 90_000, NOW_MS + 99_000)
            .await,
        Ok(false)
    );
    let failure = GoogleFailure::Revoked { why: "late" };
    store
        .fail_google_login(&CHANGE, &old, "slow", failure)
        .await
        .unwrap();
    let (after, tokens) = store.google_login("ten-a", "cred-a").await.unwrap().unwrap();
    assert_eq!((after.revoked_at_ms, tokens.expose()), (None, "quick"));
}

async fn what_google_has_ended_is_claimed_by_nobody(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    let login = login(&world, "a").await;
    let store = &world.store;
    assert_eq!(
        store
            .claim_google_login(&login, "r", NOW_MS, NOW_MS + 30_000)
            .await,
        Ok(true)
    );
    let passing = GoogleFailure::Passing {
        why: "away\nfor a while",
        retry_at_ms: NOW_MS + 5_000,
    };
    store
        .fail_google_login(&CHANGE, &login, "r", passing)
        .await
        .unwrap();
    let (after, _) = store.google_login("ten-a", "cred-a").await.unwrap().unwrap();
    assert_eq!(
        (after.failures, after.last_error.as_deref()),
        (1, Some("awayfor a while"))
    );
    assert_eq!(
        store
            .due_google_logins(NOW_MS + 1, NOW_MS + 4_999, 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .due_google_logins(NOW_MS + 1, NOW_MS + 5_000, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    // That nothing is said against the token that is there does not mend that.
    store
        .note_google_check(&after, Some("standard-tier"), None, NOW_MS)
        .await
        .unwrap();
    let (after, _) = store.google_login("ten-a", "cred-a").await.unwrap().unwrap();
    assert_eq!(
        (after.tier.as_deref(), after.last_error.is_some()),
        (Some("standard-tier"), true)
    );
    assert_eq!(
        store
            .claim_google_login(&login, "r", NOW_MS + 5_000, NOW_MS + 30_000)
            .await,
        Ok(true)
    );
    let revoked = GoogleFailure::Revoked { why: "revoked" };
    store
        .fail_google_login(&CHANGE, &login, "r", revoked)
        .await
        .unwrap();
    assert_eq!(
        store
            .claim_google_login(&login, "r", NOW_MS + 90_000, NOW_MS + 99_000)
            .await,
        Ok(false)
    );
    assert_eq!(
        store
            .due_google_logins(NOW_MS + 1, NOW_MS + 90_000, 10)
            .await
            .unwrap(),
        []
    );
    let bundle = store.load_tenant("ten-a").await.unwrap().unwrap();
    assert!(bundle.credentials[0].login.unwrap().revoked);
}

async fn that_google_refuses_a_token_is_noted_for_this_token_alone(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    world.tenant("b").await;
    let (refused, other) = (login(&world, "a").await, login(&world, "b").await);
    let store = &world.store;
    let until_ms = NOW_MS + 60_000;
    store
        .note_google_refusal(&refused, "not taken\nnor the new one", NOW_MS, until_ms)
        .await
        .unwrap();
    let (noted, tokens) = store.google_login("ten-a", "cred-a").await.unwrap().unwrap();
    let expected = GoogleLogin {
        last_error: Some("not takennor the new one".to_owned()),
        last_error_at_ms: Some(NOW_MS),
        retry_at_ms: Some(until_ms),
        ..refused.clone()
    };
    assert_eq!((&noted, tokens.expose()), (&expected, "tokens-1"));
    assert_eq!(
        store.google_login("ten-b", "cred-b").await.unwrap().unwrap().0,
        other
    );
    // Until then nobody is sent for another token.
    let due = |now_ms| store.due_google_logins(NOW_MS + 1, now_ms, 10);
    let of_b = ("ten-b".to_owned(), "cred-b".to_owned());
    assert_eq!(due(until_ms - 1).await.unwrap(), [of_b]);
    assert_eq!(due(until_ms).await.unwrap().len(), 2);
    // With another token that is over, and whoever has still the old one in mind says nothing against the new one.
    assert_eq!(
        store
            .claim_google_login(&noted, "r", until_ms, until_ms + 30_000)
            .await,
        Ok(true)
    );
    let renewed = store
        .renew_google_login(&CHANGE, &noted, "r", &secret("tokens-2"), until_ms + 3_600_000)
        .await;
    assert_eq!(renewed, Ok(true));
    store
        .note_google_refusal(&refused, "late", NOW_MS, until_ms)
        .await
        .unwrap();
    let (after, _) = store.google_login("ten-a", "cred-a").await.unwrap().unwrap();
    assert_eq!(
        (after.last_error, after.last_error_at_ms, after.retry_at_ms),
        (None, None, None)
    );
}

async fn a_login_goes_with_its_credential_and_is_found_by_its_own_tenant_alone(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    world.tenant("b").await;
    login(&world, "a").await;
    let store = &world.store;
    assert!(store.google_login("ten-b", "cred-a").await.unwrap().is_none());
    assert_eq!(store.list_google_logins("ten-b").await.unwrap(), []);
    let consent = store
        .consent_to_google_login(&CHANGE, ("ten-b", "cred-a"), 1)
        .await;
    assert!(matches!(consent, Err(StoreError::NotFound { .. })));
    store.remove_credential(&CHANGE, "ten-a", "cred-a").await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM google_logins").await, 0);
    login(&world, "b").await;
    begin(&world, "state-1").await;
    store.remove_tenant(&CHANGE, "ten-a").await.unwrap();
    store.remove_tenant(&CHANGE, "ten-b").await.unwrap();
    for left in [
        "SELECT COUNT(*) FROM google_logins",
        "SELECT COUNT(*) FROM google_login_attempts",
    ] {
        assert_eq!(world.count(left).await, 0, "{left}");
    }
}

async fn sessions_come_and_go(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("a").await;
    let session = |number: i64| UiSession {
        id: format!("session-{number}"),
        tenant_id: "ten-a".to_owned(),
        key_id: "k".to_owned(),
        created_at_ms: NOW_MS + number,
        seen_at_ms: NOW_MS + number,
    };
    let store = &world.store;
    for number in 0..120 {
        store
            .begin_ui_session(&session(number), NOW_MS - 1)
            .await
            .unwrap();
    }
    assert_eq!(
        world.count("SELECT COUNT(*) FROM ui_sessions").await,
        100,
        "the oldest have made room"
    );
    assert_eq!(store.ui_session("session-119").await, Ok(Some(session(119))));
    assert_eq!(store.ui_session("session-0").await, Ok(None));
    store.see_ui_session("session-119", NOW_MS + 500).await.unwrap();
    store.see_ui_session("session-119", NOW_MS + 400).await.unwrap();
    assert_eq!(
        store.ui_session("session-119").await.unwrap().unwrap().seen_at_ms,
        NOW_MS + 500
    );
    store.end_ui_session("session-119").await.unwrap();
    assert_eq!(store.ui_session("session-119").await, Ok(None));
    store.begin_ui_session(&session(200), NOW_MS + 200).await.unwrap();
    assert_eq!(
        world.count("SELECT COUNT(*) FROM ui_sessions").await,
        1,
        "old ones are forgotten"
    );
}
