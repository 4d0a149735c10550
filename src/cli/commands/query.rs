//! `query`: the documents that meet conditions.

use clap::Args;

use crate::base::Result;
use crate::cli::context::{Context, Reading};
use crate::cli::run::Outcome;
use crate::doc::{Filter, Query, Sort};

use super::lines;

/// Print the documents that meet conditions
///
/// A condition is FIELD OP VALUE. FIELD is a path such as details.stage; OP is = != < <= > >= or
/// ^= (begins with); VALUE is JSON, or else text as it stands. All conditions must hold.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  jidoka query work_orders --where 'status = open' --where 'priority \
                  >= 7' --sort created_at:desc --limit 10"
)]
pub(in crate::cli) struct QueryArgs {
    #[command(flatten)]
    reading: Reading,
    /// The collection
    collection: String,
    /// A condition; give several to require all of them
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Order by this field; FIELD:desc for the largest first
    #[arg(long, value_name = "FIELD[:desc]")]
    sort: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print how the answer would be found, instead of the answer
    #[arg(long)]
    explain: bool,
}

pub(in crate::cli) fn run(args: &QueryArgs, context: &mut Context) -> Result<Outcome> {
    let query = Query {
        filters: args.conditions.iter().map(|text| Filter::parse(text)).collect::<Result<_>>()?,
        sort: args.sort.as_deref().map(Sort::parse).transpose()?,
        limit: args.limit,
    };
    context.with_documents(&args.reading, |context, documents| {
        if args.explain {
            return context.out.line(query.explain(&args.collection).to_string().as_bytes());
        }
        for found in documents.query(&args.collection, &query)? {
            context.out.line(&lines::document(&found?.document))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Done)
}
